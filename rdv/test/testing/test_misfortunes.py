"""What goes wrong in memory: on purpose, by misuse, and what is left behind."""

from __future__ import annotations

import gc
import sys
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import AttemptTimeout, NoConnection, ServerRefused, ServerUnreachable
from rdv.test.doubles import Wire, present
from rdv.test.testing.memory_case import MemoryTestCase
from rdv.testing import MemoryRendezvous


class MisfortuneTests(MemoryTestCase):
    """What a test of error handling needs."""

    options = {"lobby_timeout": 30.0}

    def test_refused(self) -> None:
        self.rendezvous.refuse(403, "not on the list")
        failure = self.failureResultOf(self.flushed_dial(), ServerRefused)
        self.assertEqual((failure.value.status, failure.value.reason), (403, "not on the list"))
        self.rendezvous.admit()
        self.close(*self.rendezvous.pair())

    def flushed_dial(self, url: str = "", **options: Any) -> Any:
        """A dial of which everything has happened that happens at once."""
        dialling = self.rendezvous.client().dial(url or self.url, "token", **options)
        self.rendezvous.flush()
        return dialling

    def flushed_accept(self) -> Any:
        """The same of the other side."""
        accepting = self.rendezvous.client().accept(self.url, "token")
        self.rendezvous.flush()
        return accepting

    def test_nobody_comes(self) -> None:
        """The lobby says 408 each time, and the clock of the attempt ends it."""
        accepting = self.flushed_dial(timeout=100.0)
        self.rendezvous.advance(99.9)
        self.assertNoResult(accepting)
        self.assertEqual(self.rendezvous.server.waiting, 1)
        self.rendezvous.advance(0.2)
        failure = self.failureResultOf(accepting, AttemptTimeout)
        self.assertIn("no peer arrived", str(failure.value))

    def test_late_peer(self) -> None:
        dialling = self.flushed_dial()
        self.rendezvous.advance(45.0)
        accepting = self.flushed_accept()
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
            present(wire.reason).trap(ConnectionLost)
        self.failureResultOf(self.flushed_dial(), ServerUnreachable)

    def test_server_does_not_answer(self) -> None:
        """Nobody is at that address; and a name that nobody has."""
        dialling = self.flushed_dial("http://203.0.113.1/")
        self.rendezvous.advance(9.9)
        self.assertNoResult(dialling)
        self.rendezvous.advance(0.2)
        self.failureResultOf(dialling, ServerUnreachable)
        self.failureResultOf(self.flushed_dial("http://elsewhere.test/"), ServerUnreachable)

    def test_only_the_relay_works(self) -> None:
        """As behind firewalls, a client's that is made later as well: it has to wait."""
        dialling = self.flushed_dial()
        self.rendezvous.block_direct_paths()
        accepting = self.flushed_accept()
        self.rendezvous.advance(1.9)
        self.assertNoResult(dialling)
        self.rendezvous.advance(0.2)
        connections = [self.successResultOf(dialling), self.successResultOf(accepting)]
        self.assertEqual([each.is_relay for each in connections], [True, True])
        self.close(*connections)

    def test_no_path_at_all(self) -> None:
        """Neither does the relay: it breaks while the two are at it."""
        dialling = self.flushed_dial()
        self.rendezvous.block_direct_paths()
        accepting = self.flushed_accept()
        self.rendezvous.advance(1.0)
        self.rendezvous.break_connections()
        self.rendezvous.advance(60.0)
        for connecting in (dialling, accepting):
            self.failureResultOf(connecting, NoConnection)

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
    """Misuse is reported immediately, in words."""

    def test_pair_of_nobody(self) -> None:
        """With the reason, if there is one; and neither of them is left."""
        self.rendezvous.refuse(403, "not today")
        with self.assertRaisesRegex(AssertionError, r"not connected: .* refused: 403 .*not today"):
            self.rendezvous.pair()
        self.rendezvous.admit()
        self.rendezvous.stop()
        with self.assertRaisesRegex(AssertionError, "not connected: cannot reach"):
            self.rendezvous.pair()
        self.rendezvous.start()
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

    def test_waiting_client(self) -> None:
        """Its port, its connection and its timer."""
        rendezvous = MemoryRendezvous()
        rendezvous.assert_nothing_left()
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
