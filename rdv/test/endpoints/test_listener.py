"""
Accepting one peer after the other.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel, capturedLogs

from rdv.client.stream.connection import Connection
from rdv.client.trace import What
from rdv.endpoints.dial_queue import HEAD_START
from rdv.endpoints.listener import Listener
from rdv.errors import BadToken, NoConnection, ServerUnreachable
from rdv.test.endpoints.doubles import URL, Attempt, ListenerTestCase


class AcceptingTests(ListenerTestCase):
    """Peers come."""

    def test_request(self) -> None:
        """It waits for as long as it takes, and asks as it was told."""
        attempt = self.client.last
        self.assertEqual((attempt.token, attempt.timeout), ("token", None))
        self.assertEqual(attempt.options, {"headers": {"X": "1"}})
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

    def test_head_start(self) -> None:
        """The race is not disturbed; when it is over the next attempt need not wait."""
        for ends in (
            lambda: self.client.last.connects(),
            lambda: self.client.last.fails(NoConnection("no path")),
        ):
            count = len(self.client.attempts)
            self.client.last.happens(What.MET)
            self.clock.advance(HEAD_START / 2)
            ends()
            self.assertEqual(
                len(self.client.attempts), count
            )  # what a new protocol writes is first
            self.clock.advance(0)
            self.assertEqual(len(self.client.attempts), count + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_without_trace(self) -> None:
        """One that only connects does as well."""
        for count in (1, 2, 3):
            self.client.last.connects()
            self.clock.pump([0, 0])
            self.assertEqual(len(self.delivered), count)
            self.assertEqual(len(self.client.attempts), count + 1)
            self.assertTrue(self.listener.waiting.fired)

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
        """
        With half of the attempts under way the others begin slowly; when there is no room, the
        oldest makes some, which is logged once.
        """
        self.listener.stop()
        self.listen(most=4)
        with capturedLogs() as events:
            attempts = [self.client.meets() for _ in range(3)]
            self.assertEqual(len(self.client.attempts), 3)
            for count in range(4, 8):
                self.client.again_after(3 / 2)
                attempts.append(self.client.meets())
                self.assertEqual(len(self.client.attempts), count)
        self.assertEqual([each.cancelled for each in attempts], [True] * 3 + [False] * 4)
        warnings = [event["most"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(warnings, [4])
        for attempt in attempts[3:6]:
            attempt.fails(NoConnection("no path"))
        self.clock.advance(3 / 2)
        self.client.meets()
        self.assertEqual(len(self.client.attempts), 9)

    def test_silent_dials(self) -> None:
        """
        Somebody dials as often as he can and says nothing: there is always one that waits, but for
        a tenth of a second, and who needs almost three seconds for a path gets it.
        """
        met, left = dict[Attempt, float](), dict[Attempt, float]()
        for number in range(300):
            attempt = self.client.last
            attempt.happens(What.MET)
            met[attempt] = self.clock.seconds()
            if number == 200:
                self.clock.callLater(2.9, attempt.connects)
            while self.client.last is attempt:
                self.clock.advance(0.01)
                self.assertLess(self.clock.seconds() - met[attempt], 0.15)
            left |= {
                each: self.clock.seconds()
                for each in self.client.attempts
                if each.cancelled and each not in left
            }
            self.assertLessEqual(len(met) - len(left), 64)
        self.assertGreater(len(left), 200)
        self.assertGreater(min(left[each] - met[each] for each in left), 3)
        self.assertEqual(len(self.delivered), 1)

    def test_in_vain(self) -> None:
        """Who comes and ends it at once, again and again, gets ten attempts a second, not fifty."""
        for _ in range(64):
            self.client.meets().fails(NoConnection("no path"))
        begun = self.clock.seconds()
        while self.clock.seconds() < begun + 2:
            if self.client.last.in_lobby:
                self.client.meets().fails(NoConnection("no path"))
            else:
                self.clock.advance(0.01)
        self.assertGreater(len(self.client.attempts), 64 + 14)
        self.assertLess(len(self.client.attempts), 64 + 40)
        self.clock.advance(20)
        for _ in range(40):
            self.client.meets().connects()
        self.assertEqual(len(self.delivered), 40)

    def test_bugs(self) -> None:
        """One is logged, its connection is closed, and the next one is delivered."""
        deliver = self.delivered.append

        def fail(connection: Connection) -> None:
            raise RuntimeError("not my day")

        self.listener._deliver = fail
        below = self.client.meets().connects()
        self.assertEqual(below.closing, "abort")
        self.client.meets().fails(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError, ZeroDivisionError)), 2)
        self.listener._deliver = deliver
        self.client.meets().connects()
        self.assertEqual(len(self.delivered), 1)


class StoppingTests(ListenerTestCase):
    """The owner stops it."""

    def test_everything_is_cancelled(self) -> None:
        """Who waits, and who is on the way; what was delivered stays."""
        below = self.client.meets().connects()
        self.client.meets()
        stopping = self.listener.stop()
        self.assertIsNone(self.successResultOf(stopping))
        self.assertIsNone(self.successResultOf(self.listener.stopped.when_fired()))
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
            self.listen()
            phase()
            self.successResultOf(self.listener.stop())
            self.assert_nothing_left()
            self.assertLessEqual(len(self.client.attempts), 64)

    def test_when_told(self) -> None:
        """Who hears of a failure may stop it at once; nothing is tried again."""
        self.listener.waiting.when_fired().addErrback(lambda _: self.listener.stop())
        self.client.last.fails(ServerUnreachable("gone"))
        self.assertTrue(self.listener.closed.fired)
        self.assert_nothing_left()

    def test_waits_until_closed(self) -> None:
        """An attempt that is cancelled may need a moment."""
        self.client.closes_late = True
        self.listener.stop()
        self.listen()
        met, waiting = self.client.meets(), self.client.last
        stopping = self.listener.stop()
        waiting.fails(CancelledError())
        self.assertNoResult(stopping)
        met.fails(CancelledError())
        self.successResultOf(stopping)
        self.successResultOf(self.listener.stop())

    def test_connection_comes_too_late(self) -> None:
        """It is closed, which is waited for."""
        self.listener.stop()
        self.client.closes_late = True
        self.listen()
        stopping = self.listener.stop()
        below = self.client.last.connects()
        self.assertEqual(below.closing, "abort")
        self.assertNoResult(stopping)
        below.lose()
        self.successResultOf(stopping)
        self.assertEqual(self.delivered, [])
