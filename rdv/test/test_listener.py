"""
Accepting one peer after the other.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.connection import Connection
from rdv.client.listener import Listener
from rdv.client.trace import What
from rdv.errors import (
    BadToken,
    NoConnection,
    ProtocolError,
    RdvError,
    ServerRefused,
    ServerUnreachable,
    TokenInUse,
)
from rdv.test.endpoint_doubles import URL, FakeClient, refused


class ListenerTestCase(SynchronousTestCase):
    """A listener that has begun; no pause is shortened at random."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = self.client.clock
        self.delivered: list[Connection] = []
        self.told: list[RdvError | None] = []
        self.listener = self.listen()

    def listen(self, **options: Any) -> Listener:
        """Start one."""
        listener = Listener(
            self.client,
            URL,
            "token",
            {"headers": {"X": "1"}},
            self.delivered.append,
            self.told.append,
            chance=lambda: 1.0,
            **options,
        )
        listener.start()
        return listener

    def assert_nothing_left(self) -> None:
        """No timer, and no attempt."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for attempt in self.client.attempts:
            self.assertTrue(attempt.result.called)


class StoppedWhenToldTests(ListenerTestCase):
    """Who hears of a failure may stop it at once."""

    def test_stopped(self) -> None:
        """Nothing is tried again."""
        self.listener.waiting.wait().addErrback(lambda _: self.listener.stop())
        self.client.last.fails(ServerUnreachable("gone"))
        self.assertTrue(self.listener.closed.happened)
        self.assert_nothing_left()


class AcceptingTests(ListenerTestCase):
    """Peers come."""

    def test_request(self) -> None:
        """It waits for as long as it takes, and asks as it was told."""
        attempt = self.client.last
        self.assertEqual((attempt.token, attempt.timeout), ("token", None))
        self.assertEqual(attempt.options, {"headers": {"X": "1"}})

    def test_bad_token(self) -> None:
        self.assertRaises(BadToken, Listener, self.client, URL, "", {}, self.delivered.append)

    def test_next_begins_when_peer_is_named(self) -> None:
        """Not before, and not only when there is a path."""
        self.client.last.happens(What.ASKED)
        self.clock.advance(1000)
        self.assertEqual(len(self.client.attempts), 1)
        first = self.client.meets()
        self.assertEqual(len(self.client.attempts), 2)
        first.connects()
        self.assertEqual(len(self.delivered), 1)
        self.assertEqual(len(self.client.attempts), 2)
        self.assertEqual(self.client.most_in_lobby, 1)

    def test_client_without_trace(self) -> None:
        """One that only connects does as well."""
        for count in (1, 2, 3):
            self.client.last.connects()
            self.clock.advance(0)
            self.assertEqual(len(self.delivered), count)
            self.assertEqual(len(self.client.attempts), count + 1)

    def test_paths_in_any_order(self) -> None:
        """Whoever has a path first is delivered first; one that finds none hurts nobody."""
        first, second, third = self.client.meets(), self.client.meets(), self.client.meets()
        third.connects()
        first.fails(NoConnection("no path"))
        second.connects()
        self.assertEqual(len(self.delivered), 2)
        self.assertEqual(self.told, [])
        self.assertEqual(self.client.most_in_lobby, 1)

    def test_bound(self) -> None:
        """Who meets more peers than it connects to lets the others wait."""
        self.listener.stop()
        self.client.attempts.clear()
        self.listen(most=3)
        attempts = [self.client.meets() for _ in range(3)]
        self.assertEqual(len(self.client.attempts), 3)
        attempts[1].fails(NoConnection("no path"))
        self.assertEqual(len(self.client.attempts), 4)
        self.client.meets()
        self.assertEqual(len(self.client.attempts), 4)
        attempts[0].connects()
        self.assertEqual(len(self.client.attempts), 5)

    def test_failing_delivery(self) -> None:
        """It is logged, the connection is closed, and the next one is delivered."""
        deliver = self.delivered.append

        def fail(connection: Connection) -> None:
            raise RuntimeError("not my day")

        self.listener._deliver = fail
        below = self.client.meets().connects()
        self.assertEqual(below.closing, "abort")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.listener._deliver = deliver
        self.client.meets().connects()
        self.assertEqual(len(self.delivered), 1)

    def test_bug_behind_the_meeting(self) -> None:
        """It is logged."""
        self.client.meets().fails(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TroubleTests(ListenerTestCase):
    """Nobody can reach us for the moment."""

    def again_after(self, seconds: float) -> None:
        """The next attempt comes so much later, and not earlier."""
        count = len(self.client.attempts)
        self.clock.advance(seconds * 0.99)
        self.assertEqual(len(self.client.attempts), count)
        self.clock.advance(seconds * 0.02)
        self.assertEqual(len(self.client.attempts), count + 1)

    def test_pauses_grow(self) -> None:
        """For every kind of trouble, up to a bound; it is told once."""
        errors = [
            ServerUnreachable("gone"),
            refused(503),
            refused(429),
            refused(500),
            NoConnection("cannot listen on local port 1"),
            ServerUnreachable("gone"),
        ]
        for error, pause in zip(errors, (1, 2, 4, 8, 16, 32), strict=True):
            self.client.last.fails(error)
            self.again_after(pause)
        for _ in range(3):
            self.client.last.fails(refused(502))
            self.again_after(60)
        self.assertEqual(self.told, errors[:1])
        self.assertFalse(self.listener.stopped.happened)

    def test_pause_is_random(self) -> None:
        """Half of it, at the least."""
        self.listener._backoff._chance = lambda: 0.0
        self.client.last.fails(ServerUnreachable("gone"))
        self.again_after(0.5)

    def test_over_when_asked(self) -> None:
        """Not at once, as a refusal may be on its way; then the pauses are short again."""
        error = ServerUnreachable("gone")
        self.client.last.fails(error)
        self.again_after(1)
        self.client.last.happens(What.ASKED)
        self.clock.advance(0.4)
        self.client.last.fails(refused(503))
        self.assertEqual(self.told, [error])
        self.again_after(2)
        self.assertEqual(self.told, [error])
        self.client.last.happens(What.ASKED)
        self.clock.advance(0.5)
        self.assertEqual(self.told, [error, None])
        self.client.last.fails(error)
        self.assertEqual(self.told, [error, None, error])
        self.again_after(1)

    def test_over_when_met(self) -> None:
        self.client.last.fails(ServerUnreachable("gone"))
        self.again_after(1)
        self.client.last.happens(What.ASKED)
        self.client.meets()
        self.assertEqual(self.told[1:], [None])

    def test_unexpected(self) -> None:
        """An error that is none of ours is logged, and the listener goes on."""
        self.client.last.fails(OSError("too many open files"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertIsInstance(self.told[0], RdvError)
        self.again_after(1)

    def test_failing_callback(self) -> None:
        """It is logged, and the listener goes on."""

        def fail(error: RdvError | None) -> None:
            raise RuntimeError("not my day")

        self.listener._tell = fail
        self.client.last.fails(ServerUnreachable("gone"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.again_after(1)

    def test_no_server_any_more(self) -> None:
        """What was a server before, and talks nonsense now, may become one again."""
        self.client.meets()
        self.client.last.fails(ProtocolError("not HTTP"))
        self.again_after(1)


class WaitingTests(ListenerTestCase):
    """What :attr:`waiting` says."""

    def test_asked(self) -> None:
        """Nobody has refused for a moment."""
        waiting = self.listener.waiting.wait()
        self.client.last.happens(What.ASKED)
        self.assertNoResult(waiting)
        self.clock.advance(0.5)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertIsNone(self.successResultOf(self.listener.waiting.wait()))

    def test_first_failure(self) -> None:
        """It goes on all the same."""
        waiting = self.listener.waiting.wait()
        self.client.last.fails(ServerUnreachable("gone"))
        self.failureResultOf(waiting, ServerUnreachable)
        self.clock.advance(1)
        self.assertEqual(len(self.client.attempts), 2)

    def test_stopped_before(self) -> None:
        waiting = self.listener.waiting.wait()
        self.listener.stop()
        self.failureResultOf(waiting, CancelledError)


class GivingUpTests(ListenerTestCase):
    """What cannot become better."""

    def check(self, error: Exception, kind: type[Exception]) -> Any:
        """It ends the listener, is logged, and nothing is left."""
        stopped, waiting = self.listener.stopped.wait(), self.listener.waiting.wait()
        self.client.last.happens(What.ASKED)
        self.client.last.fails(error)
        self.failureResultOf(waiting, kind)
        self.assertEqual(len(self.client.attempts), 1)
        self.assert_nothing_left()
        self.successResultOf(self.listener.stop())
        return self.failureResultOf(stopped, kind).value

    def test_refused(self) -> None:
        for status in (400, 401, 403, 404, 426):
            self.listener = self.listen()
            self.client.attempts = self.client.attempts[-1:]
            error = self.check(refused(status), ServerRefused)
            self.assertEqual(error.status, status)

    def test_token_in_use(self) -> None:
        """It says so."""
        error = self.check(refused(409), TokenInUse)
        self.assertEqual((error.status, error.reason), (409, "of this"))
        self.assertRegex(str(error), "^another program accepts with the same token")

    def test_no_server(self) -> None:
        self.check(ProtocolError("not HTTP"), ProtocolError)

    def test_those_on_the_way(self) -> None:
        """Who has met its peer before is delivered."""
        first = self.client.meets()
        self.client.last.fails(refused(404))
        self.assertTrue(self.listener.stopped.happened)
        self.assertFalse(self.listener.closed.happened)
        first.connects()
        self.assertEqual(len(self.delivered), 1)
        self.assertTrue(self.listener.closed.happened)


class StoppingTests(ListenerTestCase):
    """The owner has enough."""

    def test_everything_is_cancelled(self) -> None:
        """Who waits, and who is on the way; what was delivered stays."""
        below = self.client.meets().connects()
        self.client.meets()
        stopping = self.listener.stop()
        self.assertIsNone(self.successResultOf(stopping))
        self.assertIsNone(self.successResultOf(self.listener.stopped.wait()))
        self.assertEqual([each.cancelled for each in self.client.attempts], [False, True, True])
        self.assert_nothing_left()
        self.assertEqual(below.closing, "")

    def test_in_any_phase(self) -> None:
        """Nothing is left, whatever it was doing."""

        def settling() -> None:
            self.client.last.happens(What.ASKED)

        def pausing() -> None:
            self.client.last.fails(ServerUnreachable("gone"))

        def met() -> None:
            self.client.last.happens(What.MET)

        def full() -> None:
            for _ in range(64):
                self.client.meets()

        for phase in (lambda: None, settling, pausing, met, full):
            self.listener.stop()
            self.client.attempts.clear()
            self.listener = self.listen()
            phase()
            self.successResultOf(self.listener.stop())
            self.assert_nothing_left()
            self.assertLessEqual(len(self.client.attempts), 64)

    def test_waits_until_closed(self) -> None:
        """An attempt that is cancelled may need a moment."""
        self.listener.stop()
        self.client.closes_late = True
        self.listener = self.listen()
        met, waiting = self.client.meets(), self.client.last
        stopping = self.listener.stop()
        waiting.fails(CancelledError())
        self.assertNoResult(stopping)
        met.fails(CancelledError())
        self.successResultOf(stopping)

    def test_connection_comes_too_late(self) -> None:
        """It is closed."""
        self.listener.stop()
        self.client.closes_late = True
        self.listener = self.listen()
        stopping = self.listener.stop()
        self.assertEqual(self.client.last.connects().closing, "abort")
        self.successResultOf(stopping)
        self.assertEqual(self.delivered, [])

    def test_twice(self) -> None:
        self.successResultOf(self.listener.stop())
        self.successResultOf(self.listener.stop())
