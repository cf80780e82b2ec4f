"""
``rdv.testing``: what a test of an application sees of it.
"""

from __future__ import annotations

import gc
import socket
import sys
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError, ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import AddressSpace, parse_address
from rdv.client import Client, Connection
from rdv.client.trace import Event
from rdv.errors import AttemptTimeout, NoConnection, ServerRefused, ServerUnreachable
from rdv.server import Outcome, Pair
from rdv.test.client_doubles import HalfWire, Wire
from rdv.testing import MemoryRendezvous

NONE = AddressSpace.NONE


class MemoryTestCase(SynchronousTestCase):
    """
    A rendezvous in memory. Nothing may be left when the test is over, and no socket be opened.

    :cvar options: for the server.
    """

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.opened: list[tuple[object, ...]] = []

        def opening(sock: socket.socket, *arguments: object, **options: object) -> None:
            self.opened.append(arguments)
            raise AssertionError("a socket was opened")

        self.patch(socket.socket, "__init__", opening)
        self.rendezvous = MemoryRendezvous(**self.options)
        self.url = self.rendezvous.url
        self.addCleanup(self.assert_clean)

    def assert_clean(self) -> None:
        """What every test ends with."""
        self.rendezvous.assert_nothing_left()
        self.assertEqual(self.opened, [])

    def attach(self, *connections: Connection) -> list[Wire]:
        """Give each connection a protocol."""
        wires = [Wire() for _ in connections]
        for connection, wire in zip(connections, wires, strict=True):
            connection.attach(wire)
        return wires

    def close(self, *connections: Connection) -> None:
        """Close them at once."""
        for connection in connections:
            connection.abortConnection()


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

    def test_bytes(self) -> None:
        """Both ways, in order, far more than the wires hold."""
        block = bytes(range(256)) * 4096
        for relay in (False, True):
            dialer, acceptor = self.rendezvous.pair(relay=relay)
            asking, answering = self.attach(dialer, acceptor)
            asking.write(block)
            answering.write(block[::-1])
            self.rendezvous.flush()
            self.assertEqual(answering.data, block)
            self.assertEqual(asking.data, block[::-1])
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

    def test_program_that_makes_its_own_client(self) -> None:
        """It only has to be given the reactor."""
        accepting = Client(self.rendezvous.host()).accept(self.url, "t")
        dialling = Client(self.rendezvous.host()).dial(self.url, "t")
        self.rendezvous.flush()
        dialer = self.successResultOf(dialling)
        self.assertFalse(dialer.is_relay)
        self.close(dialer, self.successResultOf(accepting))

    def test_own_addresses_of_ones_own(self) -> None:
        address = parse_address("203.0.113.7:5000")
        client = self.rendezvous.client(self_addresses=lambda port: [address])
        accepting = client.accept(self.url, "t")
        events: list[Any] = []
        dialling = self.rendezvous.client(trace=events.append).dial(self.url, "t")
        self.rendezvous.flush()
        met = next(event for event in events if event.what == "met")
        self.assertIn(address, met.fields["peer_addresses"])
        self.close(self.successResultOf(accepting), self.successResultOf(dialling))

    def test_waiting(self) -> None:
        """The server knows."""
        accepting = self.rendezvous.client().accept(self.url, "t")
        self.rendezvous.flush()
        self.assertEqual(self.rendezvous.server.waiting, 1)
        accepting.cancel()
        self.rendezvous.flush()
        self.failureResultOf(accepting, CancelledError)


class EndTests(MemoryTestCase):
    """How connections end: over both kinds of paths."""

    relay = False

    def setUp(self) -> None:
        super().setUp()
        self.dialer, self.acceptor = self.rendezvous.pair(relay=self.relay)

    def test_in_good_order(self) -> None:
        near, far = self.attach(self.dialer, self.acceptor)
        near.write(b"x" * 1_000_000)
        near.close()
        self.rendezvous.flush()
        self.assertEqual(len(far.data), 1_000_000)
        for wire in (near, far):
            assert wire.reason is not None
            wire.reason.trap(ConnectionDone)

    def test_broken(self) -> None:
        near, far = self.attach(self.dialer, self.acceptor)
        self.dialer.abortConnection()
        self.rendezvous.flush()
        self.assertIsNotNone(near.reason)
        assert far.reason is not None
        far.reason.trap(ConnectionLost)

    def test_broken_by_the_network(self) -> None:
        wires = self.attach(self.dialer, self.acceptor)
        self.rendezvous.break_connections()
        self.rendezvous.flush()
        for wire in wires:
            assert wire.reason is not None
            wire.reason.trap(ConnectionLost)

    def test_half_close(self) -> None:
        near, far = HalfWire(), HalfWire()
        self.dialer.attach(near)
        self.acceptor.attach(far)
        near.write(b"question")
        self.dialer.loseWriteConnection()
        self.rendezvous.flush()
        self.assertEqual((far.data, far.read_ended, near.write_ended), (b"question", 1, 1))
        self.assertIsNone(near.reason)
        far.write(b"answer")
        far.close()
        self.rendezvous.flush()
        self.assertEqual((near.data, near.read_ended), (b"answer", 1))
        near.close()
        self.rendezvous.flush()
        for wire in (near, far):
            assert wire.reason is not None
            wire.reason.trap(ConnectionDone)

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

    def test_pull_producer(self) -> None:
        _, wire = self.attach(self.dialer, self.acceptor)
        source = Source(self.dialer, piece=100_000)
        self.dialer.registerProducer(source, False)
        self.rendezvous.flush()
        self.assertEqual(len(wire.data), source.size)
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
    """
    Writes ten million bytes, while it may.

    :param piece: bytes at a time, and to be asked for each; 0 for as many as possible.
    """

    size = 10_000_000

    def __init__(self, sink: Connection, piece: int = 0) -> None:
        self._sink = sink
        self._piece = piece
        self._paused = False
        self.sent = 0

    def resumeProducing(self) -> None:
        self._paused = False
        while not self._paused and self.sent < self.size:
            self.sent += 10_000 if not self._piece else self._piece
            self._sink.write(bytes(self._piece or 10_000))
            self._paused |= bool(self._piece)
        if self.sent == self.size:
            self._sink.unregisterProducer()

    def pauseProducing(self) -> None:
        self._paused = True

    def stopProducing(self) -> None:
        self._paused = True


class MisfortuneTests(MemoryTestCase):
    """What a test of error handling wants."""

    options = {"lobby_timeout": 30.0}

    def test_refused(self) -> None:
        self.rendezvous.refuse(403, "not on the list")
        failure = self.failureResultOf(self.flushed_dial(), ServerRefused)
        self.assertEqual((failure.value.status, failure.value.reason), (403, "not on the list"))
        self.rendezvous.admit()
        self.close(*self.rendezvous.pair())

    def flushed_dial(self, **options: Any) -> Any:
        """A dial of which everything has happened that happens at once."""
        dialling = self.rendezvous.client().dial(self.url, "token", **options)
        self.rendezvous.flush()
        return dialling

    def test_nobody_comes(self) -> None:
        """The lobby says 408 each time, and the clock of the attempt ends it."""
        accepting = self.flushed_dial(timeout=100.0)
        self.rendezvous.advance(99.9)
        self.assertNoResult(accepting)
        self.assertEqual(self.rendezvous.server.waiting, 1)
        self.rendezvous.advance(0.2)
        failure = self.failureResultOf(accepting, AttemptTimeout)
        self.assertIn("the peer did not come", str(failure.value))

    def test_late_peer(self) -> None:
        dialling = self.flushed_dial()
        self.rendezvous.advance(45.0)
        accepting = self.rendezvous.client().accept(self.url, "token")
        self.rendezvous.flush()
        self.close(self.successResultOf(dialling), self.successResultOf(accepting))

    def test_replaced(self) -> None:
        first, second = self.flushed_dial(), self.flushed_dial()
        self.assertEqual(self.failureResultOf(first, ServerRefused).value.status, 409)
        second.cancel()
        self.rendezvous.flush()
        self.failureResultOf(second, CancelledError)

    def test_server_is_gone(self) -> None:
        waiting = self.flushed_dial()
        wires = self.attach(*self.rendezvous.pair("another", relay=True))
        self.rendezvous.stop()
        self.assertEqual(self.failureResultOf(waiting, ServerRefused).value.status, 503)
        for wire in wires:
            assert wire.reason is not None
            wire.reason.trap(ConnectionLost)
        self.failureResultOf(self.flushed_dial(), ServerUnreachable)

    def test_server_does_not_answer(self) -> None:
        """Nobody is at that address."""
        dialling = self.rendezvous.client().dial("http://203.0.113.1/", "token")
        self.rendezvous.advance(9.9)
        self.assertNoResult(dialling)
        self.rendezvous.advance(0.2)
        self.failureResultOf(dialling, ServerUnreachable)

    def test_unknown_name(self) -> None:
        dialling = self.rendezvous.client().dial("http://elsewhere.test/", "token")
        self.rendezvous.flush()
        self.failureResultOf(dialling, ServerUnreachable)

    def test_only_the_relay_works(self) -> None:
        """As behind firewalls: the relay wins after its penalty, not before."""
        dialling = self.flushed_dial()
        accepting = self.rendezvous.client().accept(self.url, "token")
        self.rendezvous.block_direct_paths()
        self.rendezvous.advance(1.9)
        self.assertNoResult(dialling)
        self.rendezvous.advance(0.2)
        connections = [self.successResultOf(dialling), self.successResultOf(accepting)]
        for connection in connections:
            self.assertTrue(connection.is_relay)
        self.close(*connections)

    def test_firewalls_first(self) -> None:
        """Clients that are made later are behind them as well."""
        self.rendezvous.block_direct_paths()
        dialling = self.flushed_dial()
        accepting = self.rendezvous.client().accept(self.url, "token")
        self.rendezvous.advance(2.1)
        connections = [self.successResultOf(dialling), self.successResultOf(accepting)]
        self.assertEqual([each.is_relay for each in connections], [True, True])
        self.close(*connections)

    def test_no_path_at_all(self) -> None:
        """Neither does the relay: it breaks while the two are at it."""
        dialling = self.flushed_dial()
        accepting = self.rendezvous.client().accept(self.url, "token")
        self.rendezvous.block_direct_paths()
        self.rendezvous.advance(1.0)
        self.rendezvous.break_connections()
        self.rendezvous.advance(60.0)
        for connecting in (dialling, accepting):
            self.failureResultOf(connecting, NoConnection)

    def test_hook(self) -> None:
        """The server's own ways to say no are the real ones."""

        def serve(pair: Pair) -> None:
            pair.reject(402, "no credit")

        rendezvous = MemoryRendezvous(serve=serve)
        with self.assertRaises(AssertionError):
            rendezvous.pair()
        rendezvous.assert_nothing_left()
        connecting = [
            rendezvous.client().dial(rendezvous.url, "t"),
            rendezvous.client().accept(rendezvous.url, "t"),
        ]
        rendezvous.flush()
        for each in connecting:
            self.assertEqual(self.failureResultOf(each, ServerRefused).value.status, 402)

    def test_cancelled(self) -> None:
        """At any moment, with nothing left, which the clean-up checks."""
        for flushed in (False, True):
            dialling = self.rendezvous.client().dial(self.url, "token")
            if flushed:
                self.rendezvous.flush()
            dialling.cancel()
            self.rendezvous.flush()
            self.failureResultOf(dialling, CancelledError)
        self.assertEqual(self.rendezvous.server.waiting, 0)


class MisuseTests(MemoryTestCase):
    """What makes no sense is told, at once and in words."""

    def test_pair_of_nobody(self) -> None:
        """With the reason; and neither of them is left."""
        self.rendezvous.refuse(403, "not today")
        with self.assertRaisesRegex(AssertionError, r"not connected: .* refused: 403 .*not today"):
            self.rendezvous.pair()
        self.rendezvous.admit()
        self.rendezvous.stop()
        with self.assertRaisesRegex(AssertionError, "not connected: cannot reach"):
            self.rendezvous.pair()

    def test_pair_that_waits(self) -> None:
        self.rendezvous.block_direct_paths()
        with self.assertRaisesRegex(AssertionError, "not connected$"):
            self.rendezvous.pair()

    def test_no_refusal(self) -> None:
        for status in (101, 200, 499, 700):
            with self.assertRaises(ValueError):
                self.rendezvous.refuse(status, "x")
        self.close(*self.rendezvous.pair())

    def test_start_twice(self) -> None:
        """The one that runs is still the server."""
        before = self.rendezvous.server
        with self.assertRaises(CannotListenError):
            self.rendezvous.start()
        self.assertIs(self.rendezvous.server, before)
        self.close(*self.rendezvous.pair())

    def test_flush_by_what_it_delivers_to(self) -> None:
        """That would deliver the second bytes before the first have been taken."""

        class Flusher(Wire):
            def dataReceived(wire, data: bytes) -> None:  # noqa: N805
                super().dataReceived(data)
                with self.assertRaisesRegex(RuntimeError, "within flush"):
                    self.rendezvous.flush()
                self.rendezvous.stop()

        dialer, acceptor = self.rendezvous.pair()
        [near], far = self.attach(dialer), Flusher()
        acceptor.attach(far)
        near.write(b"x")
        self.rendezvous.flush()
        self.assertEqual(far.data, b"x")
        self.close(dialer, acceptor)


class LeftoverTests(SynchronousTestCase):
    """Finding what was left open."""

    def test_nothing(self) -> None:
        MemoryRendezvous().assert_nothing_left()

    def test_waiting_client(self) -> None:
        """Its port, its connection and its timer."""
        rendezvous = MemoryRendezvous()
        rendezvous.client().accept(rendezvous.url, "t", timeout=60.0)
        with self.assertRaises(AssertionError) as raised:
            rendezvous.assert_nothing_left()
        text = str(raised.exception)
        for piece in ("a connection to 192.0.2.1:80", "listens on port 49152", "DelayedCall"):
            self.assertIn(piece, text)

    def test_thrown_away(self) -> None:
        """A test that forgets to go on is not told of coroutines on top of its own failure."""
        noise: list[object] = []
        self.patch(sys, "unraisablehook", noise.append)

        def forget() -> None:
            rendezvous = MemoryRendezvous()
            rendezvous.client().accept(rendezvous.url, "t")
            rendezvous.flush()

        forget()
        gc.collect()
        self.assertEqual(noise, [])

    def test_connection(self) -> None:
        for relay in (False, True):
            rendezvous = MemoryRendezvous()
            connections = rendezvous.pair(relay=relay)
            self.assertEqual(len(rendezvous.leftovers()), 2)
            for connection in connections:
                connection.abortConnection()
            self.assertEqual(rendezvous.leftovers(), [])

    def test_call(self) -> None:
        rendezvous = MemoryRendezvous()
        call = rendezvous.host().callLater(5.0, self.fail)
        self.assertEqual(len(rendezvous.leftovers()), 1)
        call.cancel()
        rendezvous.assert_nothing_left()
