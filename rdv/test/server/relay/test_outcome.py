"""How a pair ended: found a direct path, was relayed, failed, or was abandoned."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rdv.server import Outcome, Pair
from rdv.server.accounting import notes
from rdv.server.relay import outcome
from rdv.test.doubles import present
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase


class DirectTests(ServerTestCase):
    """The acceptor has said HELLO, and the dialer prefers another candidate."""

    def greeted_pair(self) -> tuple[Guest, Guest]:
        """A pair whose dialer has heard HELLO."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        self.assertEqual(dialer.take(), HELLO)
        return dialer, acceptor

    def test_dialer_closes(self) -> None:
        """The usual way."""
        dialer, acceptor = self.greeted_pair()
        self.close_all(dialer)
        self.assertEqual((acceptor.received, acceptor.read_ended), (b"", 1))
        self.assertFalse(dialer.at_server.connected or acceptor.at_server.connected)
        self.close_all(acceptor)
        self.assertTrue(acceptor.lost_cleanly)
        self.assert_over(direct=1)

    def test_half_close(self) -> None:
        dialer, acceptor = self.greeted_pair()
        dialer.here.loseWriteConnection()
        self.settle()
        self.assertFalse(dialer.at_server.connected or acceptor.at_server.connected)
        self.assert_over(direct=1)

    def test_acceptor_closes_first(self) -> None:
        """It may hear of the choice before the server does; the dialer is not told of its end."""
        for way in ("loseConnection", "loseWriteConnection"):
            self.open()
            dialer, acceptor = self.greeted_pair()
            getattr(acceptor.here, way)()
            self.settle()
            self.assertEqual((dialer.received, dialer.read_ended), (b"", 0))
            self.assertEqual(self.rendezvous.pairs, 1)
            self.close_all(dialer)
            self.assertFalse(dialer.at_server.connected or acceptor.at_server.connected)
            self.close_all(acceptor)
            self.assert_over(direct=1)

    def test_hello_is_unread(self) -> None:
        """The system tells of the dialer's end first."""
        self.patch(outcome, "unread", lambda transport: HELLO[:1])
        dialer, acceptor = self.pair()
        self.close_all(dialer)
        self.assertEqual((acceptor.read_ended, self.rendezvous.pairs), (1, 1))
        acceptor.here.write(HELLO)
        self.settle()
        self.assertFalse(dialer.at_server.connected or acceptor.at_server.connected)
        self.assert_over(direct=1)


class AbandonedTests(ServerTestCase):
    """One has gone, and nothing shows that it had a path."""

    def test_before_hello(self) -> None:
        """Whoever it is, in whatever way: there was nothing to choose from."""
        for leaver in (0, 1):
            for way in ("loseConnection", "loseWriteConnection", "abortConnection"):
                self.open()
                guests = self.pair()
                getattr(guests[leaver].here, way)()
                self.settle()
                other = guests[1 - leaver]
                self.assertEqual((other.received, other.read_ended), (b"", 1))
                self.assertFalse(any(guest.at_server.connected for guest in guests))
                self.close_all(*guests)
                self.assert_over(abandoned=1)

    def test_something_else_is_unread(self) -> None:
        """No HELLO, as it turns out."""
        self.patch(outcome, "unread", lambda transport: b"?")
        dialer, acceptor = self.pair()
        self.close_all(dialer)
        self.close_all(acceptor)
        self.assertFalse(dialer.at_server.connected)
        self.assert_over(abandoned=1)

    def test_dialer_is_reset(self) -> None:
        """As when it was killed."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        dialer.here.abortConnection()
        self.settle()
        self.assertEqual((acceptor.received, acceptor.read_ended), (b"", 1))
        self.assertFalse(acceptor.at_server.connected)
        self.assert_over(abandoned=1)

    def test_dialer_is_reset_behind_the_acceptor(self) -> None:
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.close_all(acceptor)
        dialer.here.abortConnection()
        self.settle()
        self.assertFalse(acceptor.at_server.connected)
        self.assert_over(abandoned=1)

    def test_dialer_chooses_what_has_gone(self) -> None:
        """It must not take the acceptor's end for that of a stream."""
        for leave in ("loseConnection", "loseWriteConnection"):
            self.open()
            dialer, acceptor = self.pair()
            acceptor.here.write(HELLO)
            getattr(acceptor.here, leave)()
            self.settle()
            dialer.here.write(CONFIRM)
            self.settle()
            self.assertFalse(present(dialer.lost).check(ConnectionDone))
            self.assertEqual(acceptor.received, b"")
            self.close_all(acceptor)
            self.assert_over(abandoned=1)

    def test_line_while_it_is_closed(self) -> None:
        """A reactor may still read in the turn in which the other one's end was told."""
        dialer, acceptor = self.pair()
        acceptor.leg.readConnectionLost()
        dialer.leg.dataReceived(CONFIRM)
        dialer.leg.readConnectionLost()
        self.settle()
        self.assertEqual(acceptor.received, b"")
        self.assert_over(abandoned=1)

    def test_dialer_says_confirm_and_leaves(self) -> None:
        """Without having heard HELLO."""
        dialer, acceptor = self.pair()
        dialer.here.write(CONFIRM)
        self.close_all(dialer)
        self.assertFalse(acceptor.at_server.connected)
        self.assert_over(abandoned=1)


class DialerSaidConfirmTests(SynchronousTestCase):
    """The dialer has chosen the relay, and leaves."""

    def test_hello_comes_later(self) -> None:
        """No direct path had to do with that."""
        found = outcome.without_lines(None, None, dialer_closed=True)
        self.assertIs(found, Outcome.ABANDONED)


class FailedTests(ServerTestCase):
    """Something else was sent, or too little."""

    def test_stays_though_the_acceptor_has_gone(self) -> None:
        """Not for ever."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.close_all(acceptor)
        self.clock.advance(30)
        self.settle()
        self.assertFalse(present(dialer.lost).check(ConnectionDone))
        self.assert_over(failed=1)

    def test_part_of_a_line(self) -> None:
        """Whoever began to speak had chosen the relay."""
        for number in range(1, len(CONFIRM)):
            self.open()
            dialer, acceptor = self.pair()
            dialer.here.write(CONFIRM[:number])
            dialer.here.loseConnection()
            self.settle()
            self.assertFalse(acceptor.at_server.connected)
            self.assert_over(failed=1)


class PairTests(ServerTestCase):
    """What a hook can see of a pair."""

    def setUp(self) -> None:
        super().setUp()
        self.pairs: list[Pair] = []
        self.open(serve=self.pairs.append)

    def test_who_they_are(self) -> None:
        dialer = self.dial(addresses="192.168.7.2:1", observed="198.51.100.4:1")
        acceptor = self.accept(observed="203.0.113.9:2")
        pair = self.pairs[0]
        self.assertEqual(
            (pair.token, pair.dialer, pair.acceptor), (b"token", dialer.leg, acceptor.leg)
        )
        self.assertEqual(pair.dialer.addresses, "192.168.7.2:1")
        self.assertEqual(pair.dialer.observed, "198.51.100.4:1")
        self.assertEqual((pair.acceptor.addresses, pair.acceptor.observed), ("", "203.0.113.9:2"))

    def test_outcome(self) -> None:
        """None until it is known; known as soon as it is certain, and final."""
        dialer, acceptor = self.pair()
        pair = self.pairs[0]
        acceptor.here.write(HELLO)
        self.settle()
        self.assertIsNone(pair.outcome)
        dialer.here.write(CONFIRM)
        self.settle()
        self.assertIs(pair.outcome, Outcome.RELAYED)
        pair.abort()
        self.settle()
        self.assertIs(pair.outcome, Outcome.RELAYED)
        self.assert_over(relayed=1)

    def test_abort(self) -> None:
        dialer, acceptor = self.pair()
        self.pairs[0].abort()
        self.settle()
        for guest in (dialer, acceptor):
            self.assertFalse(present(guest.lost).check(ConnectionDone))
        self.assert_over(failed=1)

    def test_when_ended(self) -> None:
        """Fires for each who asked, when both connections are gone."""
        dialer, acceptor = self.relayed_pair()
        pair = self.pairs[0]
        one, two = pair.when_ended(), pair.when_ended()
        forgotten = pair.when_ended()
        forgotten.cancel()
        self.failureResultOf(forgotten, CancelledError)
        dialer.here.loseConnection()
        self.settle()
        self.assertNoResult(one)
        self.close_all(acceptor)
        self.assertIs(self.successResultOf(one), pair)
        self.assertIs(self.successResultOf(two), pair)


@implementer(ILogObserver)
class Events:
    """Collects log events."""

    def __init__(self) -> None:
        self.seen: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.seen.append(event)


class LogTests(ServerTestCase):
    """What is logged."""

    def setUp(self) -> None:
        super().setUp()
        events = Events()
        self.events = events.seen
        self.patch(notes, "log", Logger(observer=events))

    def test_never_the_whole_token(self) -> None:
        token = b"5f0c6a4e-0d0f-4a51"
        self.close_all(self.dial(token), self.dial(token), self.accept(token))
        self.dial(token)
        self.clock.advance(1000)
        self.assertGreater(len(self.events), 4)
        for event in self.events:
            self.assertIn("5f0c", formatEvent(event))
            self.assertNotIn(token.decode(), formatEvent(event))
            self.assertNotIn(token.decode(), repr(event))

    def test_outcome(self) -> None:
        dialer, acceptor = self.relayed_pair()
        dialer.here.write(b"abc")
        self.close_all(dialer, acceptor)
        last = self.events[-1]
        self.assertEqual(last["outcome"], "relayed")
        self.assertEqual((last["dialer_bytes"], last["acceptor_bytes"]), (3, 0))
