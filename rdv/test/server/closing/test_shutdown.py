"""
Closing a rendezvous: a 503 for waiting clients, and time for pairs.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone

from rdv.server import Pair
from rdv.test.doubles import present
from rdv.test.server.doubles import HELLO, ServerTestCase

SHUTDOWN = (503, "shutting down, try again")


class CloseTests(ServerTestCase):
    """``close`` and ``abort``."""

    def test_nobody_there(self) -> None:
        self.assertFalse(self.rendezvous.closing)
        self.successResultOf(self.rendezvous.close(drain=5))
        self.assertTrue(self.rendezvous.closing)
        # A client that arrives is told of the shutdown, whatever it sends.
        self.assert_refused(self.dial(early=b"x"), *SHUTDOWN)

    def test_waiting_clients(self) -> None:
        """Refused at once, and done when they have closed."""
        guests = [self.dial(), self.accept(b"other"), self.dial(b"third")]
        self.assertFalse(self.rendezvous.closing)
        done = self.rendezvous.close(drain=5)
        self.assertTrue(self.rendezvous.closing)
        self.settle()
        for guest in guests:
            self.assert_refused(guest, *SHUTDOWN)
        self.assertEqual(self.rendezvous.waiting, 0)
        self.close_all(*guests[:2])
        self.assertNoResult(done)
        self.close_all(guests[2])
        self.successResultOf(done)
        self.assert_over()

    def test_client_that_comes_later(self) -> None:
        dialer, acceptor = self.relayed_pair()
        done = self.rendezvous.close(drain=5)
        for guest in (self.dial(b"new"), self.accept(b"new")):
            self.assert_refused(guest, *SHUTDOWN)
            self.close_all(guest)
        self.assertNoResult(done)
        self.close_all(dialer, acceptor)
        self.successResultOf(done)
        self.assert_over(relayed=1)

    def test_pairs_drain(self) -> None:
        """Those who are at it may finish, those between the lines too."""
        dialer, acceptor = self.relayed_pair()
        others = self.pair()
        done = self.rendezvous.close(drain=5)
        self.settle()
        others[1].here.write(HELLO)
        self.settle()
        self.assertEqual(others[0].take(), HELLO)
        dialer.here.write(b"last words")
        dialer.here.loseConnection()
        self.settle()
        self.assertEqual(acceptor.take(), b"last words")
        self.close_all(acceptor)
        self.assertNoResult(done)
        self.close_all(*others)
        self.successResultOf(done)
        self.assert_over(relayed=1, direct=1)

    def test_drain_time_over(self) -> None:
        """What is left is cut, one who waited too, and does not look complete to anybody."""
        for drain in (5, 0):
            self.open()
            dialer, acceptor = self.relayed_pair()
            self.pair()
            self.dial(b"other")
            done = self.rendezvous.close(drain=drain)
            self.clock.advance(drain and drain - 1)
            self.assertEqual(dialer.lost is acceptor.lost is None, drain > 0)
            self.clock.advance(1)
            self.settle()
            self.successResultOf(done)
            for guest in (dialer, acceptor):
                self.assertFalse(present(guest.lost).check(ConnectionDone))
            self.assert_over(relayed=1, failed=1)

    def test_abort_ends_the_drain(self) -> None:
        """As a second signal does."""
        self.relayed_pair()
        waiting = self.dial(b"other")
        done = self.rendezvous.close(drain=5)
        self.settle()
        self.assertNoResult(done)
        self.rendezvous.abort()
        self.settle()
        self.successResultOf(done)
        self.assertFalse(waiting.at_server.connected)
        self.assert_over(relayed=1)

    def test_twice(self) -> None:
        """Each who asks is told, unless it does not want to know; the first drain time counts."""
        dialer, acceptor = self.relayed_pair()
        first, second, third = (self.rendezvous.close(drain) for drain in (5, 50, 0))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(4)
        self.assertNoResult(second)
        self.clock.advance(1)
        self.settle()
        for done in (second, third, self.rendezvous.close()):
            self.successResultOf(done)
        self.assertTrue(dialer.lost and acceptor.lost)
        self.assert_over(relayed=1)

    def test_pair_under_decision(self) -> None:
        """Both get the 503, and the hook is not waited for."""
        thought: Deferred[None] = Deferred()
        self.open(serve=lambda pair: thought)
        dialer, acceptor = self.dial(), self.accept()
        done = self.rendezvous.close(drain=5)
        self.settle()
        self.assertTrue(thought.called)
        for guest in (dialer, acceptor):
            self.assert_refused(guest, *SHUTDOWN)
        self.close_all(dialer, acceptor)
        self.successResultOf(done)
        self.assert_over()

    def test_hook_that_ends_the_server(self) -> None:
        """It may well ask for that while it is asked itself."""
        done: list[Deferred[None]] = []

        def serve(pair: Pair) -> None:
            done.append(self.rendezvous.close(drain=5))

        self.open(serve=serve)
        dialer, acceptor = self.dial(), self.accept()
        self.assert_refused(dialer, *SHUTDOWN)
        self.assert_refused(acceptor, *SHUTDOWN)
        self.close_all(dialer, acceptor)
        self.successResultOf(done[0])
        self.assert_over()
