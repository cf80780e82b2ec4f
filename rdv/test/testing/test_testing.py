"""
``rdv.testing``, as the test of an application uses it.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionLost
from twisted.web.iweb import IRequest
from twisted.web.server import Request

from rdv.client import Client, Connection
from rdv.client.trace import Event
from rdv.server import Outcome
from rdv.test.doubles import HalfWire, present
from rdv.test.testing.memory_case import MemoryTestCase
from rdv.testing import MemoryRendezvous


class ConnectingTests(MemoryTestCase):
    """Two clients."""

    def test_nothing_moves_by_itself(self) -> None:
        dialling = self.rendezvous.client().dial(self.url, "token")
        accepting = self.rendezvous.client().accept(self.url, "token")
        self.assertNoResult(dialling)
        self.assertEqual(self.rendezvous.server.waiting, 0)
        self.rendezvous.flush()
        self.close(self.successResultOf(dialling), self.successResultOf(accepting))
        self.assertEqual(self.rendezvous.clock.seconds(), 0.0)

    def test_direct(self) -> None:
        """Each at an address of its own, and the server knows it."""
        dialer, acceptor = self.rendezvous.pair()
        for connection in (dialer, acceptor):
            self.assertFalse(connection.is_relay)
            self.assertIsNotNone(connection.final_transport)
        self.assertEqual(dialer.peer_address, acceptor.observed_address)
        self.assertEqual(acceptor.peer_address, dialer.observed_address)
        self.assertNotEqual(dialer.peer_address, acceptor.peer_address)
        self.assertEqual(self.rendezvous.server.outcomes, {Outcome.DIRECT: 1})
        self.close(dialer, acceptor)

    def test_relay(self) -> None:
        dialer, acceptor = self.rendezvous.pair(relay=True)
        for connection in (dialer, acceptor):
            self.assertTrue(connection.is_relay)
            self.assertEqual(str(connection.peer_address), "192.0.2.1:80")
            self.assertEqual(connection.headers.getRawHeaders("Upgrade"), ["rdv/1"])
        self.assertEqual(self.rendezvous.server.pairs, 1)
        self.close(dialer, acceptor)

    def test_several_at_once(self) -> None:
        client, other = self.rendezvous.client(), self.rendezvous.client()
        dialling = [client.dial(self.url, f"t{number}") for number in range(20)]
        accepting = [other.accept(self.url, f"t{number}") for number in range(20)]
        self.rendezvous.flush()
        for number, dial, accept in zip(range(20), dialling, accepting, strict=True):
            dialer, acceptor = self.successResultOf(dial), self.successResultOf(accept)
            _, wire = self.attach(dialer, acceptor)
            dialer.write(b"%d" % number)
            self.rendezvous.flush()
            self.assertEqual(wire.data, b"%d" % number)
            self.close(dialer, acceptor)

    def test_same_again(self) -> None:
        """
        What happens, and in which order, does not depend on chance; but for when an address is
        dialled again, which has jitter in memory too.
        """

        def told() -> list[object]:
            rendezvous = MemoryRendezvous()
            events: list[object] = []

            def trace(event: Event) -> None:
                fields = {name: value for name, value in event.fields.items() if name != "dials"}
                if fields.get("dial", 1) == 1:
                    events.append((event.what, fields))

            clients = [rendezvous.client(trace=trace) for _ in range(2)]
            connecting = [
                clients[0].accept(rendezvous.url, "t"),
                clients[1].dial(rendezvous.url, "t"),
            ]
            rendezvous.flush()
            self.close(*map(self.successResultOf, connecting))
            rendezvous.assert_nothing_left()
            return events

        first = told()
        self.assertGreater(len(first), 6)
        for _ in range(20):
            self.assertEqual(first, told())

    def test_identify(self) -> None:
        """A policy that goes by users can be tested, too."""

        def user(request: IRequest) -> str:
            headers = cast(Request, request).requestHeaders
            return str(present(headers.getRawHeaders("X-User"))[0])

        met: list[tuple[str | None, str | None]] = []
        rendezvous = MemoryRendezvous(
            identify=user, serve=lambda pair: met.append((pair.dialer.user, pair.acceptor.user))
        )
        client = rendezvous.client()
        connecting = [
            client.accept(rendezvous.url, "t", headers={"X-User": "alice"}),
            client.dial(rendezvous.url, "t", headers={"X-User": "bob"}),
        ]
        rendezvous.flush()
        self.close(*map(self.successResultOf, connecting))
        self.assertEqual(met, [("bob", "alice")])

    def test_program_that_makes_its_own_client(self) -> None:
        """It only has to be given the reactor."""
        accepting = Client(self.rendezvous.host()).accept(self.url, "t")
        dialling = Client(self.rendezvous.host()).dial(self.url, "t")
        self.rendezvous.flush()
        dialer = self.successResultOf(dialling)
        self.assertFalse(dialer.is_relay)
        self.close(dialer, self.successResultOf(accepting))


class EndTests(MemoryTestCase):
    """How connections end: over both kinds of paths."""

    relay = False

    def setUp(self) -> None:
        super().setUp()
        self.dialer, self.acceptor = self.rendezvous.pair(relay=self.relay)

    def test_broken_by_the_network(self) -> None:
        wires = [HalfWire(), HalfWire()]
        self.dialer.attach(wires[0])
        self.acceptor.attach(wires[1])
        self.rendezvous.break_connections()
        self.rendezvous.flush()
        for wire in wires:
            self.assertEqual(wire.read_ended, 0)
            present(wire.reason).trap(ConnectionLost)

    def test_back_pressure(self) -> None:
        """Who does not read holds up who writes, and loses nothing."""
        wires = self.attach(self.dialer, self.acceptor)
        self.acceptor.pauseProducing()
        source = Source(self.dialer)
        self.dialer.registerProducer(source, True)
        source.resumeProducing()
        self.rendezvous.flush()
        self.assertLess(source.sent, 2_000_000)
        self.assertEqual(wires[1].data, b"")
        self.acceptor.resumeProducing()
        self.rendezvous.flush()
        self.assertEqual(source.sent, source.size)
        self.assertEqual(len(wires[1].data), source.size)
        self.close(self.dialer, self.acceptor)

    def test_idle(self) -> None:
        """The server cuts a relayed pair that is silent; on a direct path it has no say."""
        wires = self.attach(self.dialer, self.acceptor)
        self.rendezvous.advance(3601.0)
        for wire in wires:
            self.assertEqual(wire.reason is not None, self.relay)
        self.close(self.dialer, self.acceptor)


class RelayedEndTests(EndTests):
    """The same through the server."""

    relay = True


class Source:
    """Writes ten million bytes, while it may."""

    size = 10_000_000

    def __init__(self, sink: Connection) -> None:
        self._sink = sink
        self._paused = False
        self.sent = 0

    def resumeProducing(self) -> None:
        self._paused = False
        while not self._paused and self.sent < self.size:
            self.sent += 10_000
            self._sink.write(bytes(10_000))
        if self.sent == self.size:
            self._sink.unregisterProducer()

    def pauseProducing(self) -> None:
        self._paused = True

    def stopProducing(self) -> None:
        self._paused = True
