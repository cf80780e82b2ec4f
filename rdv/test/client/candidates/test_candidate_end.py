"""
How a candidate ends: it stays, is lost, is cancelled, is closed, or is handed over.
"""

from __future__ import annotations

import math

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.exchange import Exchange
from rdv.client.candidates.candidate import Candidate
from rdv.errors import ProtocolError
from rdv.test.client.doubles import ByteTransport
from rdv.test.doubles import HalfWire
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
    """Waiting for a better candidate."""

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def assert_stayed(self, staying: Deferred[Candidate]) -> None:
        """It has, and nothing else has happened."""
        self.assertIs(self.successResultOf(staying), self.candidate)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.transport.closing, "")

    def test_time(self) -> None:
        self.assert_stayed(self.candidate.stays(0))
        staying = self.candidate.stays(2)
        self.clock.advance(1.5)
        self.transport.deliver(b"early data, which does not end it")
        self.assertNoResult(staying)
        self.clock.advance(0.5)
        self.assert_stayed(staying)
        staying = self.candidate.stays(math.inf)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(staying)
        self.candidate.hurry()

    def test_hurry(self) -> None:
        """It is not remembered."""
        self.candidate.hurry()
        for seconds in (2, math.inf):
            staying = self.candidate.stays(seconds)
            self.assertNoResult(staying)
            self.candidate.hurry()
            self.assert_stayed(staying)

    def test_cancelled(self) -> None:
        """The connection outlives the waiting: its owner may wait again."""
        for seconds in (2, math.inf):
            staying = self.candidate.stays(seconds)
            staying.cancel()
            self.failureResultOf(staying, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        staying = self.candidate.stays(2)
        self.clock.advance(2)
        self.assert_stayed(staying)


class LossTests(CandidateTestCase):
    """A wait fails with the reason of the loss."""

    def test_lost(self) -> None:
        """Before the line, and when it stays; whoever asks afterwards is told as well."""
        for ready, wait in (
            (False, lambda: self.candidate.shaken()),
            (True, lambda: self.candidate.stays(2)),
            (True, lambda: self.candidate.stays(math.inf)),
        ):
            for end, kind in (
                (lambda: self.transport.lose(ConnectionLost()), ConnectionLost),
                (lambda: self.transport.lose(ConnectionDone()), ConnectionDone),
                (lambda: self.transport.end(), ConnectionDone),
                (lambda: self.candidate.close(), ConnectionLost),
            ):
                self.setUp()
                self.transport.connect()
                self.transport.deliver(HELLO * ready)
                waiting = wait()
                end()
                for each in (waiting, self.candidate.shaken(), self.candidate.stays(0)):
                    self.failureResultOf(each, kind)
                self.assertEqual(self.clock.getDelayedCalls(), [])
                if not self.transport.gone:
                    self.assertEqual(self.transport.closing, "abort")
                    self.assertNoResult(self.candidate.closed)
                    self.transport.lose()
                self.assertIsNone(self.successResultOf(self.candidate.closed))

    def test_first_reason_counts(self) -> None:
        self.transport.connect()
        self.transport.deliver(b"?")
        first = self.failureResultOf(self.candidate.shaken())
        self.transport.lose(ConnectionLost())
        self.assertIs(self.failureResultOf(self.candidate.shaken()).value, first.value)

    def test_cancelled(self) -> None:
        """The line may still come."""
        self.transport.connect()
        shaken = self.candidate.shaken()
        shaken.cancel()
        self.failureResultOf(shaken, CancelledError)
        self.assertEqual(self.transport.closing, "")
        shaken = self.candidate.shaken()
        self.candidate.hurry()  # does not stand for it
        self.assertNoResult(shaken)
        self.transport.deliver(HELLO)
        self.assertIs(self.successResultOf(shaken), self.candidate)


class Unfinished(Exchange):
    """The other side has begun its handshake, and completes it with ``done``."""

    begun = True

    def feed(self, data: bytes) -> bytes | None:
        return b"" if data == b"done" else None


class UnfinishedTests(CandidateTestCase):
    """The other side has five seconds for the message after its line."""

    def setUp(self) -> None:
        super().setUp()
        exchange = Unfinished(Role.DIALER, TOKEN)
        self.candidate = Candidate(self.clock, Role.DIALER, TOKEN, exchange=exchange)
        self.transport = ByteTransport(self.candidate)
        self.transport.connect()
        self.transport.deliver(HELLO)
        self.clock.advance(4.9)
        self.transport.deliver(b"more")
        self.assertEqual(self.transport.closing, "")

    def test_not_finished(self) -> None:
        """Whoever waits."""
        self.candidate.shaken().addErrback(lambda _: None).cancel()
        self.clock.advance(0.1)
        self.assertEqual(self.transport.closing, "abort")
        self.failureResultOf(self.candidate.shaken(), ProtocolError)

    def test_finished(self) -> None:
        self.transport.deliver(b"done")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIs(self.successResultOf(self.candidate.shaken()), self.candidate)

    def test_lost(self) -> None:
        """Nothing of it stays behind."""
        self.transport.lose(ConnectionLost())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CloseTests(CandidateTestCase):
    """Closing, and the notification that it is done."""

    def test_relay_is_closed_in_good_order(self) -> None:
        for abort, how in ((False, "close"), (True, "abort")):
            relay = Candidate(self.clock, Role.DIALER, TOKEN, is_relay=True)
            transport = ByteTransport(relay)
            transport.connect()
            relay.close(abort=abort)
            self.assertEqual(transport.closing, how)

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
        """Which comes all the same."""
        for role in Role:
            candidate = Candidate(self.clock, role, TOKEN)
            shaken = candidate.shaken()
            candidate.close()
            self.failureResultOf(shaken, ConnectionLost)
            self.assertIsNone(self.successResultOf(candidate.closed))
            transport = ByteTransport(candidate)
            transport.connect()
            self.assertEqual((transport.closing, transport.value()), ("abort", b""))
            transport.lose(ConnectionLost())


class ReleaseTests(CandidateTestCase):
    """Handing the connection over."""

    def test_heir(self) -> None:
        """It gets all that comes, and the candidate has no part in it any more."""
        self.open()
        heir = HalfWire()
        staying = self.candidate.stays(2)
        self.clock.advance(2)
        self.candidate.release(heir)
        self.assertIs(heir.transport, self.transport)
        self.assertIsNone(self.successResultOf(self.candidate.closed))
        staying.cancel()
        self.candidate.close()
        self.assertEqual(self.transport.closing, "")
        self.assertIs(self.successResultOf(staying), self.candidate)
        self.transport.deliver(b"data")
        self.transport.end()
        self.assertEqual((heir.data, heir.read_ended), (b"data", 1))
        reason = self.transport.lose()
        self.assertIs(heir.reason, reason)
