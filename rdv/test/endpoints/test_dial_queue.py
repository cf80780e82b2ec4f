"""
Attempts that take turns in the lobby.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.stream.connection import Connection
from rdv.client.trace import What
from rdv.endpoints.dial_queue import HEAD_START, DialQueue
from rdv.errors import (
    AttemptTimeout,
    BadToken,
    NoConnection,
    NotProven,
    RdvError,
    ServerRefused,
    ServerUnreachable,
    TokenInUse,
)
from rdv.test.endpoints.doubles import URL, FakeClient, refused
from rdv.wire import Role


class DialQueueTestCase(SynchronousTestCase):
    """Attempts of a dialer; no pause is shortened at random."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = self.client.clock
        self.told: list[RdvError | None] = []
        self.queue = DialQueue(
            self.client, Role.DIALER, URL, "token", {}, self.told.append, chance=lambda: 1.0
        )

    def tearDown(self) -> None:
        """There is no timer, no attempt, and the lobby is free."""
        self.assertTrue(self.client.nothing_left())
        self.assertFalse(self.queue._lobby.locked)

    def connects(self, connecting: Deferred[Connection]) -> None:
        """The newest attempt succeeds, and is that one's."""
        self.client.last.connects()
        self.assertIsInstance(self.successResultOf(connecting), Connection)


class TakingTurnsTests(DialQueueTestCase):
    """Several at once."""

    def test_one_at_a_time(self) -> None:
        """Each begins when the one before it has met its peer."""
        connecting = [self.queue.connect(60) for _ in range(3)]
        for count in (1, 2, 3):
            self.assertEqual(len(self.client.attempts), count)
            self.client.last.happens(What.ASKED)
            self.client.last.happens(What.MET)
            self.assertEqual(len(self.client.attempts), count)
            self.clock.advance(HEAD_START)
        self.assertEqual(self.client.most_in_lobby, 1)
        for attempt in reversed(self.client.attempts):
            attempt.connects()
        for each in connecting:
            self.assertIsInstance(self.successResultOf(each), Connection)

    def test_two_meetings(self) -> None:
        """At two servers, by one attempt: it has one turn, and leaves nothing behind."""
        first, second = self.queue.connect(60), self.queue.connect(60)
        for _ in range(2):
            self.client.last.happens(What.MET)
            self.clock.advance(HEAD_START / 4)
        self.connects(first)
        self.assertEqual(len(self.client.attempts), 2)
        self.connects(second)

    def test_failure_makes_room(self) -> None:
        first, second = self.queue.connect(60), self.queue.connect(60)
        self.client.last.fails(refused(403))
        self.failureResultOf(first, ServerRefused)
        self.connects(second)

    def test_failure_in_the_head_start(self) -> None:
        """The turn is over once only."""
        first, second, third = (self.queue.connect(60) for _ in range(3))
        self.client.last.happens(What.MET)
        self.client.last.fails(NoConnection("no path"))
        self.failureResultOf(first, NoConnection)
        self.clock.advance(HEAD_START)
        self.assertEqual(len(self.client.attempts), 2)
        self.assertEqual(self.client.most_in_lobby, 1)
        for each in (second, third):
            self.connects(each)

    def test_timeout_counts_from_the_call(self) -> None:
        """Waiting for the turn is part of it."""
        self.queue.connect(None)
        second, third = self.queue.connect(10), self.queue.connect(3)
        self.assertIsNone(self.client.last.timeout)
        self.clock.advance(3)
        self.assertRegex(str(self.failureResultOf(third, AttemptTimeout).value), "within 3 s")
        self.client.meets().connects()
        self.assertAlmostEqual(self.client.last.timeout or 0, 7 - HEAD_START)
        self.connects(second)

    def test_timeout_in_an_attempt(self) -> None:
        """What is said is the time of the call, not what was left of it for the attempt."""
        connecting = self.queue.connect(10)
        self.client.last.fails(AttemptTimeout(9.9997, "no peer arrived"))
        error = self.failureResultOf(connecting, AttemptTimeout).value
        self.assertEqual(str(error), "no connection within 10 s: no peer arrived")

    def test_bad_token(self) -> None:
        queue = DialQueue(self.client, Role.DIALER, URL, "", {})
        self.failureResultOf(queue.connect(None), BadToken)


class CancellingTests(DialQueueTestCase):
    """Nothing is left, at any stage."""

    def cancel(self, connecting: Deferred[Connection]) -> None:
        """Cancel it."""
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_in_the_lobby_and_before(self) -> None:
        """Whoever it is, the other one has its turn."""
        for gone in (0, 1):
            connecting = [self.queue.connect(60), self.queue.connect(60)]
            self.cancel(connecting.pop(gone))
            self.connects(connecting[0])
        self.assertEqual(len(self.client.attempts), 3)

    def test_behind_the_meeting(self) -> None:
        """In the head start, and later; and in the pause of one that was replaced."""
        for later in (False, True):
            connecting = self.queue.connect(60)
            self.client.last.happens(What.MET)
            if later:
                self.clock.advance(HEAD_START)
            self.cancel(connecting)
            self.assertTrue(self.client.last.cancelled)
        connecting = self.queue.connect(60)
        self.client.last.fails(refused(409))
        self.cancel(connecting)

    def test_waits_until_closed(self) -> None:
        """The one behind it does not begin before either."""
        self.client.closes_late = True
        first, second = self.queue.connect(60), self.queue.connect(60)
        first.cancel()
        self.assertNoResult(first)
        self.assertEqual(len(self.client.attempts), 1)
        self.client.last.fails(CancelledError())
        self.failureResultOf(first, CancelledError)
        self.connects(second)


class TroubleTests(DialQueueTestCase):
    """What is reported about attempts that cannot get through."""

    def lets_wait(self) -> None:
        """The server lets the newest attempt wait."""
        self.client.last.happens(What.ASKED)
        self.clock.advance(0.5)

    def test_once(self) -> None:
        """For several at a time, until none of them is in trouble."""
        first, second = self.queue.connect(60), self.queue.connect(60)
        errors = NotProven("nobody answered"), NotProven("nobody again")
        for error in errors:
            self.client.last.fails(error)
        self.assertEqual(self.told, [errors[0]])
        self.clock.advance(1)
        self.connects(first)
        self.assertEqual(self.told, [errors[0]])
        self.connects(second)
        self.assertEqual(self.told, [errors[0], None])
        self.connects(self.queue.connect(60))
        self.assertEqual(self.told, [errors[0], None])

    def test_server(self) -> None:
        """It is away, and lets us wait again."""
        connecting = self.queue.connect(60)
        self.lets_wait()
        gone = ServerUnreachable("gone")
        self.client.last.fails(gone)
        self.client.again_after(1)
        self.lets_wait()
        self.assertEqual(self.told, [gone, None])
        self.connects(connecting)

    def test_fails(self) -> None:
        """That says why, and the next one starts afresh; likewise one that is given up."""
        for cancelled in (False, True):
            self.told.clear()
            connecting = self.queue.connect(1.5)
            trouble = NotProven("nobody answered")
            self.client.last.fails(trouble)
            if cancelled:
                connecting.cancel()
                self.failureResultOf(connecting, CancelledError)
            else:
                self.clock.advance(1)
                self.client.last.fails(NotProven("nobody answered"))
                self.failureResultOf(connecting, NotProven)
            self.connects(self.queue.connect(60))
            self.assertEqual(self.told, [trouble])

    def test_another_dialer(self) -> None:
        """It is gone soon: no word of it."""
        connecting = self.queue.connect(60)
        self.client.last.fails(refused(409))
        self.clock.advance(0.2)
        self.connects(connecting)
        self.assertEqual(self.told, [])

    def test_bugs(self) -> None:
        """An error of who is told harms nobody."""

        def fail(error: RdvError | None) -> None:
            raise RuntimeError("not my day")

        queue = DialQueue(self.client, Role.DIALER, URL, "token", {}, fail, chance=lambda: 1.0)
        connecting = queue.connect(60)
        self.client.last.fails(NotProven("nobody answered"))
        self.clock.advance(1)
        self.connects(connecting)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)


class ReplacedTests(DialQueueTestCase):
    """Another client has taken the place in the lobby."""

    def test_tries_again(self) -> None:
        """After pauses that grow, up to a bound, without end when there is no timeout."""
        connecting = self.queue.connect(None)
        for pause in (0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0):
            self.client.last.fails(refused(409))
            self.client.again_after(pause)
        self.connects(connecting)

    def test_others_go_first(self) -> None:
        """The lobby is free in the pause."""
        first, second = self.queue.connect(60), self.queue.connect(60)
        self.client.last.fails(refused(409))
        self.connects(second)
        self.clock.advance(0.2)
        self.connects(first)

    def test_while_time_lasts(self) -> None:
        """Then it says why."""
        connecting = self.queue.connect(0.5)
        self.client.last.fails(refused(409))
        self.clock.advance(0.2)
        self.assertAlmostEqual(self.client.last.timeout or 0, 0.3)
        self.client.last.fails(refused(409))
        error = self.failureResultOf(connecting, TokenInUse).value
        self.assertEqual((error.status, error.reason), (409, "of this"))
        self.assertRegex(
            str(error), "^another program dials with the same token and replaced this one"
        )

    def test_acceptor(self) -> None:
        """It does not come back."""
        queue = DialQueue(self.client, Role.ACCEPTOR, URL, "token", {})
        connecting = queue.connect(None)
        self.assertIs(self.client.last.role, Role.ACCEPTOR)
        self.client.last.fails(refused(409))
        self.failureResultOf(connecting, ServerRefused)
