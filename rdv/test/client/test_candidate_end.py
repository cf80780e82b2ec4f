"""
How a candidate ends: it stays, is lost, is cancelled, is closed, or is handed over.
"""

from __future__ import annotations

import math

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.candidate import Candidate
from rdv.test.client.doubles import ByteTransport
from rdv.test.doubles import HalfWire, Wire
from rdv.wire import Role

TOKEN = b"a token"
HELLO = b"rdv/1 HELLO a token\r\n"


class CandidateTestCase(SynchronousTestCase):
    """A dialer's candidate, with a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.candidate = Candidate(self.clock, Role.DIALER, TOKEN)
        self.transport = ByteTransport(self.candidate)

    def open(self) -> None:
        """The connection stands, and HELLO has come."""
        self.transport.connect()
        self.transport.deliver(HELLO)


class StaysTests(CandidateTestCase):
    """Waiting whether a better one comes."""

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_no_time_at_all(self) -> None:
        self.assertIs(self.successResultOf(self.candidate.stays(0)), self.candidate)

    def test_fires_after_the_time(self) -> None:
        staying = self.candidate.stays(2)
        self.clock.advance(1.5)
        self.assertNoResult(staying)
        self.clock.advance(0.5)
        self.assertIs(self.successResultOf(staying), self.candidate)
        self.assertEqual(self.transport.closing, "")

    def test_lost_meanwhile(self) -> None:
        staying = self.candidate.stays(2)
        self.transport.lose(ConnectionLost())
        self.failureResultOf(staying, ConnectionLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_half_closed_meanwhile(self) -> None:
        staying = self.candidate.stays(2)
        self.transport.end()
        self.failureResultOf(staying, ConnectionDone)
        self.assertEqual(self.transport.closing, "abort")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost_before(self) -> None:
        self.transport.lose(ConnectionLost())
        self.failureResultOf(self.candidate.stays(0), ConnectionLost)
        self.failureResultOf(self.candidate.stays(2), ConnectionLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_for_ever(self) -> None:
        staying = self.candidate.stays(math.inf)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(staying)
        self.transport.lose(ConnectionLost())
        self.failureResultOf(staying, ConnectionLost)

    def test_data_does_not_end_it(self) -> None:
        staying = self.candidate.stays(2)
        self.transport.deliver(b"early")
        self.assertNoResult(staying)

    def test_cancelled(self) -> None:
        for seconds in (2, math.inf):
            staying = self.candidate.stays(seconds)
            staying.cancel()
            self.failureResultOf(staying, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connection_outlives_the_waiting(self) -> None:
        """Its owner may wait again."""
        self.candidate.stays(2).addErrback(lambda _: None).cancel()
        self.assertEqual(self.transport.closing, "")
        staying = self.candidate.stays(2)
        self.clock.advance(2)
        self.assertIs(self.successResultOf(staying), self.candidate)

    def test_hurry(self) -> None:
        for seconds in (2, math.inf):
            staying = self.candidate.stays(seconds)
            self.candidate.hurry()
            self.assertIs(self.successResultOf(staying), self.candidate)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hurry_is_not_remembered(self) -> None:
        self.candidate.hurry()
        self.assertNoResult(self.candidate.stays(2).addErrback(lambda _: None))


class LossTests(CandidateTestCase):
    """Before the line has come."""

    def test_lost(self) -> None:
        self.transport.connect()
        shaken = self.candidate.shaken()
        reason = self.transport.lose(ConnectionLost())
        self.assertIs(self.failureResultOf(shaken).value, reason.value)
        self.assertIsNone(self.successResultOf(self.candidate.closed))

    def test_closed_by_the_other_side(self) -> None:
        self.transport.connect()
        shaken = self.candidate.shaken()
        self.transport.lose(ConnectionDone())
        self.failureResultOf(shaken, ConnectionDone)

    def test_half_closed_by_the_other_side(self) -> None:
        self.transport.connect()
        shaken = self.candidate.shaken()
        self.transport.end()
        self.failureResultOf(shaken, ConnectionDone)
        self.assertEqual(self.transport.closing, "abort")

    def test_half_closed_behind_the_line(self) -> None:
        self.open()
        self.transport.end()
        self.failureResultOf(self.candidate.shaken(), ConnectionDone)

    def test_first_reason_counts(self) -> None:
        self.transport.connect()
        self.transport.deliver(b"?")
        first = self.failureResultOf(self.candidate.shaken())
        self.transport.lose(ConnectionLost())
        self.assertIs(self.failureResultOf(self.candidate.shaken()).value, first.value)

    def test_cancelled(self) -> None:
        self.transport.connect()
        shaken = self.candidate.shaken()
        shaken.cancel()
        self.failureResultOf(shaken, CancelledError)
        self.assertEqual(self.transport.closing, "")

    def test_line_after_a_cancelled_waiting(self) -> None:
        self.transport.connect()
        self.candidate.shaken().addErrback(lambda _: None).cancel()
        shaken = self.candidate.shaken()
        self.transport.deliver(HELLO)
        self.assertIs(self.successResultOf(shaken), self.candidate)

    def test_hurry_does_not_stand_for_the_line(self) -> None:
        self.transport.connect()
        shaken = self.candidate.shaken().addErrback(lambda _: None)
        self.candidate.hurry()
        self.assertNoResult(shaken)


class CloseTests(CandidateTestCase):
    """Closing, and how one learns that it is done."""

    def test_closed_when_the_connection_is_gone(self) -> None:
        self.transport.connect()
        self.candidate.close()
        self.assertEqual(self.transport.closing, "abort")
        self.assertNoResult(self.candidate.closed)
        self.transport.lose(ConnectionLost())
        self.assertIsNone(self.successResultOf(self.candidate.closed))

    def test_relay_is_closed_in_good_order(self) -> None:
        relay = Candidate(self.clock, Role.DIALER, TOKEN, is_relay=True)
        transport = ByteTransport(relay)
        transport.connect()
        relay.close()
        self.assertEqual(transport.closing, "close")

    def test_connected(self) -> None:
        """Whether it may still be used."""
        self.assertFalse(self.candidate.connected)
        self.clock.advance(5)
        self.transport.connect()
        self.assertTrue(self.candidate.connected)
        self.assertEqual(self.candidate.since, 5)
        self.candidate.close()
        self.assertFalse(self.candidate.connected)

    def test_twice(self) -> None:
        fired: list[None] = []
        self.candidate.closed.addCallback(fired.append)
        self.transport.connect()
        self.candidate.close()
        self.candidate.close()
        self.transport.lose(ConnectionLost())
        self.candidate.close()
        self.assertEqual(fired, [None])

    def test_before_the_connection(self) -> None:
        shaken = self.candidate.shaken()
        self.candidate.close()
        self.failureResultOf(shaken, ConnectionLost)
        self.assertIsNone(self.successResultOf(self.candidate.closed))

    def test_connected_after_closing(self) -> None:
        acceptor = Candidate(self.clock, Role.ACCEPTOR, TOKEN)
        acceptor.close()
        transport = ByteTransport(acceptor)
        transport.connect()
        self.assertEqual((transport.closing, transport.value()), ("abort", b""))
        transport.lose(ConnectionLost())
        self.assertIsNone(self.successResultOf(acceptor.closed))

    def test_pending_waiter_is_told(self) -> None:
        self.transport.connect()
        shaken = self.candidate.shaken()
        self.candidate.close()
        self.failureResultOf(shaken, ConnectionLost)


class ReleaseTests(CandidateTestCase):
    """Handing the connection over."""

    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.heir = HalfWire()
        self.candidate.release(self.heir)

    def test_is_closed(self) -> None:
        self.assertIsNone(self.successResultOf(self.candidate.closed))
        self.assertEqual(self.transport.closing, "")

    def test_heir_is_connected(self) -> None:
        self.assertIs(self.heir.transport, self.transport)

    def test_heir_gets_what_comes(self) -> None:
        self.transport.deliver(b"data")
        self.transport.end()
        self.assertEqual((self.heir.data, self.heir.read_ended), (b"data", 1))
        reason = self.transport.lose()
        self.assertIs(self.heir.reason, reason)

    def test_close_does_not_touch_it(self) -> None:
        self.candidate.close()
        self.assertEqual(self.transport.closing, "")

    def test_waiting_is_over(self) -> None:
        other = Candidate(self.clock, Role.DIALER, TOKEN)
        transport = ByteTransport(other)
        transport.connect()
        transport.deliver(HELLO)
        staying = other.stays(2)
        self.clock.advance(2)
        other.release(Wire())
        staying.cancel()
        self.assertEqual(transport.closing, "")
        self.assertIs(self.successResultOf(staying), other)
