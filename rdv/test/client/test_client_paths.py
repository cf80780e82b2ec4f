"""
Two clients and the real server on loopback: direct and relayed, in every order, side by side.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from rdv.addresses import AddressSpace, parse_address
from rdv.client import Client, Connection
from rdv.server import Outcome, Pair
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import REACTOR, LoopbackTestCase, RawServer, RealServer, has_ipv6
from rdv.test.doubles import HalfWire, Wire, besides_the_look
from rdv.test.sockets import sockets_at

TOKEN = "a token"
RELAY = {"spaces": AddressSpace.NONE}


class PathsTestCase(LoopbackTestCase):
    """A dialer and an acceptor, each with a reactor of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.reactors = [SteppedReactor(REACTOR), SteppedReactor(REACTOR)]

    def clients(self, **options: object) -> tuple[Client, Client]:
        """The dialer and the acceptor."""
        dialer, acceptor = (self.client(reactor, **options) for reactor in self.reactors)
        return dialer, acceptor

    def attach(self, connection: Connection, wire: Wire) -> Wire:
        """Attach ``wire``, and hang up in the end."""
        connection.attach(wire)
        self.addCleanup(self._hang_up, wire)
        return wire

    async def assert_joined(
        self, server: RealServer, dialer: Connection, acceptor: Connection
    ) -> None:
        """Bytes and ends go both ways, and nothing else stays open."""
        here, there = HalfWire(), HalfWire()
        self.attach(dialer, here)
        self.attach(acceptor, there)
        here.write(b"from the ")
        there.write(b"from the ")
        await gatherResults([here.until(b"the "), there.until(b"the ")])
        for reactor in self.reactors:
            if not dialer.is_relay:
                await reactor.gone(server.number)
            self.assertEqual(len(sockets_at(reactor.ports)), 1, reactor.left_over())
            self.assertEqual(besides_the_look(reactor.getDelayedCalls()), [])
        here.write(b"dialer")
        dialer.loseWriteConnection()
        self.assertEqual(await there.ended(), b"from the dialer")
        there.write(b"acceptor")
        acceptor.loseWriteConnection()
        self.assertEqual(await here.ended(), b"from the acceptor")
        here.close()
        there.close()
        await gatherResults([here.lost(), there.lost()])
        for reactor in self.reactors:
            self.assert_nothing_left(reactor)


class PathTests(PathsTestCase):
    """One pair."""

    async def connect(
        self, dialer_first: bool, **options: object
    ) -> tuple[RealServer, Connection, Connection]:
        """Two clients meet; the second comes when the first is waiting."""
        server = RealServer(self)
        dialer, acceptor = self.clients(**options)
        calls = [dialer.dial, acceptor.accept]
        order = [0, 1] if dialer_first else [1, 0]
        results = [calls[order[0]](server.url, TOKEN)]
        await server.arrival()
        self.assertEqual(server.rendezvous.waiting, 1)
        results.append(calls[order[1]](server.url, TOKEN))
        connections = dict(zip(order, await gatherResults(results), strict=True))
        return server, connections[0], connections[1]

    async def assert_direct(self, dialer_first: bool) -> None:
        """They find each other on the same host."""
        server, dialer, acceptor = await self.connect(dialer_first)
        self.assertFalse(dialer.is_relay)
        self.assertFalse(acceptor.is_relay)
        await self.assert_joined(server, dialer, acceptor)
        self.assertEqual(dict(server.rendezvous.outcomes), {Outcome.DIRECT: 1})

    async def test_direct_dialer_first(self) -> None:
        await self.assert_direct(dialer_first=True)

    async def test_direct_acceptor_first(self) -> None:
        await self.assert_direct(dialer_first=False)

    async def assert_relayed(self, dialer_first: bool) -> None:
        """They find each other through the server."""
        server, dialer, acceptor = await self.connect(dialer_first, **RELAY, penalty=0)
        self.assertTrue(dialer.is_relay)
        self.assertTrue(acceptor.is_relay)
        await self.assert_joined(server, dialer, acceptor)
        self.assertEqual(dict(server.rendezvous.outcomes), {Outcome.RELAYED: 1})

    async def test_relayed_dialer_first(self) -> None:
        await self.assert_relayed(dialer_first=True)

    async def test_relayed_acceptor_first(self) -> None:
        await self.assert_relayed(dialer_first=False)

    async def test_addresses(self) -> None:
        server, dialer, acceptor = await self.connect(dialer_first=True)
        ports = [reactor.ports[0] for reactor in self.reactors]
        self.assertEqual(dialer.peer_address, parse_address(f"127.0.0.1:{ports[1]}"))
        self.assertEqual(acceptor.peer_address, parse_address(f"127.0.0.1:{ports[0]}"))
        self.assertEqual(dialer.observed_address, parse_address(f"127.0.0.1:{ports[0]}"))
        self.assertEqual(acceptor.observed_address, parse_address(f"127.0.0.1:{ports[1]}"))
        await self.assert_joined(server, dialer, acceptor)

    async def test_address_of_a_relayed_connection(self) -> None:
        server, dialer, acceptor = await self.connect(dialer_first=True, **RELAY, penalty=0)
        for connection in (dialer, acceptor):
            self.assertIn(f"//{connection.peer_address}/", server.url)
        await self.assert_joined(server, dialer, acceptor)

    async def test_server_over_ipv6(self) -> None:
        server = RealServer(self, interface="::1")
        dialer, acceptor = self.clients()
        there, here = await gatherResults(
            [acceptor.accept(server.url, TOKEN), dialer.dial(server.url, TOKEN)]
        )
        self.assertEqual(here.observed_address, parse_address(f"[::1]:{self.reactors[0].ports[0]}"))
        await self.assert_joined(server, here, there)

    if not has_ipv6():
        test_server_over_ipv6.skip = "no IPv6 loopback"  # type: ignore[attr-defined]

    async def test_headers(self) -> None:
        server, dialer, acceptor = await self.connect(dialer_first=False)
        for connection, reactor in zip((dialer, acceptor), self.reactors, strict=True):
            (observed,) = connection.headers.getRawHeaders("rdv-observed-addr", [])
            self.assertEqual(observed, f"127.0.0.1:{reactor.ports[0]}")
        await self.assert_joined(server, dialer, acceptor)


class PenaltyTests(PathsTestCase):
    """The relay when no direct path comes: the acceptor neither listens to loopback nor dials."""

    async def test_after_the_penalty(self) -> None:
        """Somebody is at the address that it names, and says nothing."""
        server, silent = RealServer(self), RawServer(self)
        ready = self.reactors[0].scheduled(2)
        results = self.meet(server, headers={"Rdv-Self-Addrs": f"127.0.0.1:{silent.number}"})
        await silent.arrival()
        await ready
        self.assertNoResult(results[1])
        self.reactors[0].clock.advance(2)
        there, here = await gatherResults(results)
        self.assertTrue(here.is_relay)
        await self.assert_joined(server, here, there)

    async def test_before_it_when_nobody_is_there(self) -> None:
        """Whoever answers at its address hangs up."""
        server = RealServer(self)
        there, here = await gatherResults(self.meet(server))
        self.assertTrue(here.is_relay)
        await self.assert_joined(server, here, there)

    def meet(self, server: RealServer, **options: Any) -> list[Deferred[Connection]]:
        """An acceptor with ``options`` for its request, and a dialer."""
        dialer = self.client(self.reactors[0])
        acceptor = self.client(self.reactors[1], **RELAY)
        return [acceptor.accept(server.url, TOKEN, **options), dialer.dial(server.url, TOKEN)]


class StreamTests(PathsTestCase):
    """More than a few bytes."""

    async def move(self, **options: object) -> None:
        """A million bytes each way at once."""
        server = RealServer(self)
        dialer, acceptor = self.clients(**options)
        there, here = await gatherResults(
            [acceptor.accept(server.url, TOKEN), dialer.dial(server.url, TOKEN)]
        )
        data = [Random(seed).randbytes(1_000_000) for seed in (1, 2)]
        wires = [HalfWire(), HalfWire()]
        for connection, wire, each in zip((here, there), wires, data, strict=True):
            self.attach(connection, wire)
            connection.write(each)
            connection.loseWriteConnection()
        self.assertTrue(await wires[0].ended() == data[1])
        self.assertTrue(await wires[1].ended() == data[0])

    async def test_direct(self) -> None:
        await self.move()

    async def test_relayed(self) -> None:
        await self.move(**RELAY, penalty=0)


class ManyTests(PathsTestCase):
    """Many pairs at a time."""

    async def meet(self, server: RealServer, number: int, **options: object) -> None:
        """One of the pairs."""
        dialer, acceptor = self.clients(**options)
        token = f"token {number}"
        calls = [dialer.dial(server.url, token), acceptor.accept(server.url, token)]
        here, there = await gatherResults(calls)
        wires = [self.attach(here, Wire()), self.attach(there, Wire())]
        for name, wire in zip(("dialer", "acceptor"), wires, strict=True):
            wire.write(f"{name} {number}.".encode())
        self.assertEqual(await wires[0].until(b"."), f"acceptor {number}.".encode())
        self.assertEqual(await wires[1].until(b"."), f"dialer {number}.".encode())

    async def test_thirty_pairs(self) -> None:
        for options in ({}, {**RELAY, "penalty": 0}):
            server = RealServer(self)
            pairs = [self.meet(server, number, **options) for number in range(30)]
            await gatherResults([Deferred.fromCoroutine(pair) for pair in pairs])

    async def test_all_dialers_first(self) -> None:
        pairs: list[Pair] = []
        server = RealServer(self, serve=pairs.append)
        dialer, acceptor = self.clients()
        tokens = [f"token {number}" for number in range(30)]
        dials = [dialer.dial(server.url, token) for token in tokens]
        accepts = [acceptor.accept(server.url, token) for token in reversed(tokens)]
        heres, theres = await gatherResults(dials), await gatherResults(accepts)
        for number, (here, there) in enumerate(zip(heres, reversed(theres), strict=True)):
            here.attach(Wire())
            wire = self.attach(there, Wire())
            here.write(f"{number}.".encode())
            self.assertEqual(await wire.until(b"."), f"{number}.".encode())
        self.assertEqual(len(pairs), 30)
