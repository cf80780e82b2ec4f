"""
Two clients and the real server on loopback: direct and relayed, in every order, side by side.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from rdv.addresses import AddressSpace, parse_address
from rdv.client import Client, Connection
from rdv.server import Outcome
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import LoopbackTestCase, RawServer, RealServer, has_ipv6
from rdv.test.doubles import HalfWire, Wire, besides_the_look
from rdv.test.sockets import REACTOR, sockets_at

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

    async def test_direct(self) -> None:
        """They find each other on the same host, and each knows where it and the other one are."""
        for dialer_first in (True, False):
            self.setUp()
            server, dialer, acceptor = await self.connect(dialer_first)
            ports = [parse_address(f"127.0.0.1:{each.ports[0]}") for each in self.reactors]
            for number, connection in enumerate((dialer, acceptor)):
                own = ports[number]
                self.assertFalse(connection.is_relay)
                self.assertEqual(connection.peer_address, ports[1 - number])
                self.assertEqual(connection.observed_address, own)
                headers = connection.headers.getRawHeaders("rdv-observed-addr")
                self.assertEqual(headers, [str(own)])
            await self.assert_joined(server, dialer, acceptor)
            self.assertEqual(dict(server.rendezvous.outcomes), {Outcome.DIRECT: 1})

    async def test_relayed(self) -> None:
        """They find each other through the server."""
        for dialer_first in (True, False):
            self.setUp()
            server, dialer, acceptor = await self.connect(dialer_first, **RELAY, penalty=0)
            for connection in (dialer, acceptor):
                self.assertTrue(connection.is_relay)
                self.assertIn(f"//{connection.peer_address}/", server.url)
            await self.assert_joined(server, dialer, acceptor)
            self.assertEqual(dict(server.rendezvous.outcomes), {Outcome.RELAYED: 1})

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
