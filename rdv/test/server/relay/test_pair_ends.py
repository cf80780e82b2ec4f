"""Ends of pairs, and of a server with no time to drain."""

from __future__ import annotations

import gc
import sys
import weakref
from unittest import skipUnless

from twisted.internet.error import ConnectionLost

from rdv._flows.kernel.takeover import SplicedFlow
from rdv.server import Outcome, Pair
from rdv.server.relay import outcome
from rdv.test.server.doubles import CONFIRM, HELLO, ServerTestCase
from rdv.test.server.hand_relay import HandTestCase

SHUTDOWN = (503, "shutting down, try again")


class PairTestCase(ServerTestCase):
    """
    A server that records its pairs.

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

    def test_twice_before_the_start(self) -> None:
        """The last word counts."""

        def serve(pair: Pair) -> None:
            pair.reject(403, "no")
            pair.reject(402, "pay")

        self.open(serve=serve)
        dialer, acceptor = self.dial(), self.accept()
        self.assert_refused(dialer, 402, "pay")
        self.assert_refused(acceptor, 402, "pay")


class LeftTests(ServerTestCase):
    """What is left of a pair: nothing, so that a busy server has nothing for its collector."""

    def setUp(self) -> None:
        super().setUp()
        gc.disable()
        self.addCleanup(gc.enable)
        self.left: weakref.WeakSet[Pair] = weakref.WeakSet()

    def test_nothing(self) -> None:
        """However it ends, and whether it was relayed."""
        self.open(serve=self.left.add)
        self.close_all(*self.relayed_pair())
        for end in ("loseConnection", "abortConnection"):
            for guests in (self.relayed_pair(), self.pair()):
                getattr(guests[0].here, end)()
                self.settle()
                self.close_all(*guests)
        guests = self.pair()
        guests[1].here.write(HELLO + b"a secured stream's opening")  # which is relayed
        self.settle()
        self.close_all(*guests)
        self.relayed_pair()
        self.clock.pump([599] * 3)  # silent
        self.assertEqual(self.rendezvous.pairs, 0)
        self.assertEqual(list(self.left), [])


@skipUnless(sys.platform == "linux", "only Linux has splice")
class SplicedLeftTests(HandTestCase):
    """The same for a pair whose bytes the kernel has moved."""

    def flows(self) -> int:
        """How many there are. Finished tests keep some."""
        return [type(each) for each in gc.get_objects()].count(SplicedFlow)

    def test_nothing(self) -> None:
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = self.flows()
        relay = self.relay()
        relay.join()
        for _ in range(2):
            for far in relay.fars:
                far.send(1000)
            relay.deliver()
        self.assertEqual(self.flows(), before + 2)
        for far in relay.fars:
            far.end()
        self.close()
        del relay.pair
        self.assertEqual(self.flows(), before)


class ResetTests(PairTestCase):
    """A side that resets its connection does not count as a direct path."""

    def test_acceptor_after_hello(self) -> None:
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        acceptor.here.abortConnection()
        self.settle()
        # Its CONFIRM may be in flight: it would mistake an end for the end of the stream.
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
        self.patch(outcome, "unread", lambda transport: HELLO[:1])  # it may have sent something
        dialer, acceptor = self.pair()
        dialer.here.loseWriteConnection()
        self.settle()
        self.assertEqual((acceptor.read_ended, acceptor.lost), (1, None))
        dialer.at_server.lose(ConnectionLost())
        self.settle()
        self.assertFalse(acceptor.at_server.connected)
        self.assert_over(abandoned=1)


class NoDrainTests(ServerTestCase):
    """``close()`` as it is by default: no client gets time, but each gets an answer."""

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
