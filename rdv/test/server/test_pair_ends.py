"""Ends of pairs, and of a server with no time to drain."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost

from rdv.server import Outcome, Pair, outcome
from rdv.test.server.doubles import CONFIRM, HELLO, ServerTestCase

SHUTDOWN = (503, "shutting down, try again")


class PairTestCase(ServerTestCase):
    """
    A server that remembers its pairs.

    :ivar known: all so far.
    """

    def setUp(self) -> None:
        super().setUp()
        self.known: list[Pair] = []
        self.open(serve=self.known.append)


class RejectTests(PairTestCase):
    """``Pair.reject`` when it is too late."""

    def test_after_the_start(self) -> None:
        """Nothing could come of it: both have got their 101."""
        dialer, acceptor = self.pair()
        self.assertRaises(RuntimeError, self.known[0].reject, 403, "no")
        self.assertEqual((dialer.take(), acceptor.take()), (b"", b""))
        acceptor.here.write(HELLO)
        dialer.here.write(CONFIRM)
        self.settle()
        self.assertEqual((dialer.take(), acceptor.take()), (HELLO, CONFIRM))

    def test_after_the_end(self) -> None:
        self.close_all(*self.relayed_pair())
        self.assertRaises(RuntimeError, self.known[0].reject, 403, "no")

    def test_after_it_broke_off(self) -> None:
        def serve(pair: Pair) -> Deferred[None]:
            self.known.append(pair)
            return Deferred()

        self.open(serve=serve)
        _, acceptor = self.dial(), self.accept()
        self.close_all(acceptor)
        self.assertRaises(RuntimeError, self.known[0].reject, 403, "no")

    def test_twice_before_the_start(self) -> None:
        """The last word counts."""

        def serve(pair: Pair) -> None:
            pair.reject(403, "no")
            pair.reject(402, "pay")

        self.open(serve=serve)
        dialer, acceptor = self.dial(), self.accept()
        self.assert_refused(dialer, 402, "pay")
        self.assert_refused(acceptor, 402, "pay")


class ResetTests(PairTestCase):
    """A side that breaks off is no success of a direct path."""

    def test_acceptor_after_hello(self) -> None:
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        acceptor.here.abortConnection()
        self.settle()
        # Its CONFIRM may be on the way: it would take an end for that of the stream.
        assert dialer.lost is not None
        self.assertTrue(dialer.lost.check(ConnectionLost))
        self.assertEqual(dialer.read_ended, 0)
        self.assertIs(self.known[0].outcome, Outcome.ABANDONED)
        self.assert_over(abandoned=1)

    def test_dialer_after_confirm(self) -> None:
        """The acceptor has not even said HELLO."""
        dialer, acceptor = self.pair()
        dialer.here.write(CONFIRM)
        self.settle()
        dialer.here.abortConnection()
        self.settle()
        self.close_all(acceptor)
        self.assert_over(abandoned=1)

    def test_dialer_behind_its_end(self) -> None:
        """The acceptor, to which that end was passed on, is closed at once; both end once."""
        self.patch(outcome, "unread", lambda transport: HELLO[:1])  # it may have said something
        dialer, acceptor = self.pair()
        dialer.here.loseWriteConnection()
        self.settle()
        self.assertEqual((acceptor.read_ended, acceptor.lost), (1, None))
        dialer.at_server.lose(ConnectionLost())
        self.settle()
        self.assertFalse(acceptor.at_server.connected)
        self.assert_over(abandoned=1)

    def test_acceptor_closes_after_hello(self) -> None:
        """In good order: the dialer, which says nothing here, has found a direct path."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        self.close_all(acceptor)
        self.close_all(dialer)
        self.assert_over(direct=1)


class WaiterTests(PairTestCase):
    """``when_ended``, and who does not want to wait any longer."""

    def test_cancelled_by_another_one(self) -> None:
        """In the callback of the one before it, or of the one behind it."""
        for canceller, victim in ((0, 1), (1, 0)):
            self.setUp()
            guests = self.relayed_pair()
            pair = self.known[0]
            waiters = [pair.when_ended() for _ in range(3)]
            got: list[object] = []
            waiters[canceller].addCallback(self.cancel, waiters[victim])
            waiters[2].addCallback(got.append)
            self.close_all(*guests)
            self.assertIs(self.successResultOf(waiters[canceller]), pair)
            if canceller < victim:
                self.failureResultOf(waiters[victim], CancelledError)
            else:
                self.assertIs(self.successResultOf(waiters[victim]), pair)
            self.assertEqual(got, [pair])
            self.assert_over(relayed=1)

    def cancel(self, pair: Pair, other: Deferred[Pair]) -> Pair:
        """A callback that makes an end of another one."""
        other.cancel()
        return pair

    def test_cancelled_after_the_end(self) -> None:
        guests = self.relayed_pair()
        waiter = self.known[0].when_ended()
        self.close_all(*guests)
        waiter.cancel()
        self.assertIs(self.successResultOf(waiter), self.known[0])

    def test_asked_in_a_callback(self) -> None:
        guests = self.relayed_pair()
        pair = self.known[0]
        waiter = pair.when_ended().addCallback(lambda pair: pair.when_ended())
        self.close_all(*guests)
        self.assertIs(self.successResultOf(waiter), pair)


class NoDrainTests(ServerTestCase):
    """``close()`` as it is by default: nobody gets time, but everybody an answer."""

    def test_waiting_clients_get_their_answer(self) -> None:
        dialer, acceptor = self.dial(b"one"), self.accept(b"two")
        done = self.rendezvous.close()
        self.clock.advance(0)
        self.settle()
        self.assert_refused(dialer, *SHUTDOWN)
        self.assert_refused(acceptor, *SHUTDOWN)
        self.assertNoResult(done)
        self.close_all(dialer, acceptor)
        self.successResultOf(done)
        self.assert_over()

    def test_slow_reader(self) -> None:
        """It may take the answer a little later."""
        dialer = self.dial()
        dialer.here.pauseProducing()
        done = self.rendezvous.close(0)
        self.clock.advance(0.5)
        dialer.here.resumeProducing()
        self.settle()
        self.assert_refused(dialer, *SHUTDOWN)
        self.close_all(dialer)
        self.successResultOf(done)
        self.assert_over()

    def test_client_that_stays(self) -> None:
        """Not for long."""
        dialer = self.dial()
        done = self.rendezvous.close(0)
        self.clock.advance(0)
        self.clock.advance(1)
        self.settle()
        self.assertFalse(dialer.at_server.connected)
        self.successResultOf(done)
        self.assert_over()

    def test_pairs_are_cut(self) -> None:
        dialer, acceptor = self.relayed_pair()
        waiting = self.dial(b"another")
        self.rendezvous.close(0)
        self.clock.advance(0)
        self.settle()
        self.assertFalse(dialer.at_server.connected or acceptor.at_server.connected)
        self.assert_refused(waiting, *SHUTDOWN)
