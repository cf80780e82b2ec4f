"""
A listener that peers cannot reach, temporarily or permanently.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from rdv.client.trace import What
from rdv.endpoints.retry import harmless
from rdv.errors import (
    NoConnection,
    NoRelay,
    NotProven,
    RdvError,
    ServerRefused,
    ServerUnreachable,
    TokenInUse,
)
from rdv.test.endpoints.doubles import ListenerTestCase, refused


class TroubleTests(ListenerTestCase):
    """Peers cannot reach us temporarily."""

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
        for error, pause in zip(errors, (1, 2, 4, 8, 16, 30), strict=True):
            self.client.last.fails(error)
            self.client.again_after(pause)
        for _ in range(3):
            self.client.last.fails(refused(502))
            self.client.again_after(30)
        self.assertEqual(self.told, errors[:1])
        self.assertFalse(self.listener.stopped.fired)

    def test_pause_is_random(self) -> None:
        """Half of it, at the least."""
        self.listener._policy._backoff._chance = lambda: 0.0
        self.client.last.fails(ServerUnreachable("gone"))
        self.client.again_after(0.5)

    def test_retry_after(self) -> None:
        """What the server asks for comes on top, and a quarter at most, up to a bound."""
        for status in (429, 503):
            for seconds, pause in ((10.0, 1 + 12.5), (0.0, 2), (1e9, 4 + 300)):
                self.client.last.fails(refused(status, seconds))
                self.client.again_after(pause)
            self.client.last.happens(What.ASKED)
            self.clock.advance(0.5)
        self.listener._policy._chance = lambda: 0.0
        self.client.last.fails(refused(429, 10.0))
        self.client.again_after(1 + 10)

    def test_over_when_asked(self) -> None:
        """Not at once, as a refusal may be on its way; then the pauses are short again."""
        error = ServerUnreachable("gone")
        self.client.last.fails(error)
        self.client.again_after(1)
        self.client.last.happens(What.ASKED)
        self.clock.advance(0.4)
        self.client.last.fails(refused(503))
        self.assertEqual(self.told, [error])
        self.client.again_after(2)
        self.assertEqual(self.told, [error])
        self.client.last.happens(What.ASKED)
        self.clock.advance(0.5)
        self.assertEqual(self.told, [error, None])
        self.client.last.fails(error)
        self.assertEqual(self.told, [error, None, error])
        self.client.again_after(1)

    def test_bugs(self) -> None:
        """An error that is none of ours, and one of who is told, is logged; it goes on."""

        def fail(error: RdvError | None) -> None:
            self.told.append(error)
            raise RuntimeError("not my day")

        self.listener._tell = harmless(fail)
        self.client.last.fails(OSError("too many open files"))
        self.assertEqual(len(self.flushLoggedErrors(OSError, RuntimeError)), 2)
        self.assertIsInstance(self.told[0], RdvError)
        self.client.again_after(1)

    def test_server_that_was_one(self) -> None:
        """What has named a peer may become a server again; that ends trouble, too."""
        self.client.last.fails(ServerUnreachable("gone"))
        self.client.again_after(1)
        self.client.last.happens(What.ASKED)
        self.client.meets()
        self.assertEqual(self.told[1:], [None])
        self.client.last.fails(refused(404))
        self.client.again_after(1)


class CompanyTests(ListenerTestCase):
    """Another program uses the token."""

    def check_back(self) -> None:
        """A minute after the last disturbance all is well, and the next one is news."""
        self.clock.advance(59)
        self.assertEqual(len(self.told), 1)
        self.clock.advance(1)
        self.assertEqual(self.told[1:], [None])
        self.client.last.fails(refused(409))
        self.client.again_after(1)
        self.assertEqual(len(self.told), 3)

    def wait(self) -> None:
        """The server lets the newest attempt wait."""
        self.client.last.happens(What.ASKED)
        self.clock.advance(0.5)

    def test_another_acceptor(self) -> None:
        """It comes back each time, ever later, and tells it once."""
        self.listen()
        waiting = self.listener.waiting.when_fired()
        self.client.last.fails(refused(409))
        self.failureResultOf(waiting, TokenInUse)
        (error,) = self.told
        self.assertRegex(str(error), "^another program accepts with the same token")
        for pause in (1, 2, 4, 8, 16, 30):
            self.client.again_after(pause)
            self.wait()
            self.client.meets().connects()  # peers come to both
            self.wait()
            self.client.last.fails(refused(409))
        self.assertEqual(self.told, [error])
        self.client.again_after(30)
        self.clock.advance(60 - 30)
        self.client.meets()
        self.assertEqual(self.told, [error, None])
        self.assertFalse(self.listener.stopped.fired)

    def test_strangers(self) -> None:
        """Who comes without the secret is told of once, and others need not wait."""
        self.wait()
        for _ in range(3):
            first, second = self.client.meets(), self.client.meets()
            self.wait()
            for attempt in (second, first):
                attempt.fails(NotProven("nobody answered"))
            count = len(self.client.attempts)
            self.client.meets().connects()
            self.assertEqual(len(self.client.attempts), count + 1)
            self.wait()
        self.assertRegex(str(self.told[0]), "^the peer did not prove that it knows the secret")
        self.client.meets().fails(NotProven("nobody answered"))
        self.client.last.happens(What.ASKED)
        self.check_back()

    def test_no_relay(self) -> None:
        """Nobody can ever come, which shows when somebody does."""
        self.wait()
        self.client.meets().fails(NoRelay("this server does not relay"))
        self.assertEqual([str(each) for each in self.told], ["this server does not relay"])
        self.listener.stop()

    def test_while_another_waits(self) -> None:
        """For a moment, or for long: a minute later all is well."""
        for waited in (0.1, 5):
            self.listen()
            self.told.clear()
            attempt = self.client.meets()
            self.client.last.happens(What.ASKED)
            self.clock.advance(waited)
            attempt.fails(NotProven("nobody answered"))
            self.clock.advance(1)
            self.clock.advance(58.9)
            self.assertEqual(len(self.told), 1)
            self.clock.advance(0.2)
            self.assertEqual(self.told[1:], [None])

    def test_stopped(self) -> None:
        """Nothing is left of a minute that is not over."""
        self.wait()
        attempt = self.client.meets()
        self.wait()
        attempt.fails(NotProven("nobody answered"))
        self.listener.stop()
        self.assert_nothing_left()


class WaitingTests(ListenerTestCase):
    """What :attr:`waiting` reports."""

    def test_asked(self) -> None:
        """Nobody has refused for a moment."""
        waiting = self.listener.waiting.when_fired()
        self.client.last.happens(What.ASKED)
        self.assertNoResult(waiting)
        self.clock.advance(0.5)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertIsNone(self.successResultOf(self.listener.waiting.when_fired()))

    def test_first_failure(self) -> None:
        """It goes on all the same."""
        waiting = self.listener.waiting.when_fired()
        self.client.last.fails(ServerUnreachable("gone"))
        self.failureResultOf(waiting, ServerUnreachable)
        self.client.again_after(1)

    def test_stopped_before(self) -> None:
        waiting = self.listener.waiting.when_fired()
        self.listener.stop()
        self.failureResultOf(waiting, CancelledError)


class GivingUpTests(ListenerTestCase):
    """Permanent failures."""

    def check(self, error: Exception, kind: type[Exception]) -> Any:
        """It ends the listener, is logged, and nothing is left."""
        stopped, waiting = self.listener.stopped.when_fired(), self.listener.waiting.when_fired()
        self.client.last.happens(What.ASKED)
        self.client.last.fails(error)
        self.failureResultOf(waiting, kind)
        self.assertEqual(len(self.client.attempts), 1)
        self.assert_nothing_left()
        self.successResultOf(self.listener.stop())
        return self.failureResultOf(stopped, kind).value

    def test_refused(self) -> None:
        """Before a meeting, and behind one: not everything comes right again by itself."""
        for status in (400, 403, 404):
            self.listen()
            error = self.check(refused(status), ServerRefused)
            self.assertEqual(error.status, status)
        self.listen()
        self.client.meets().connects()
        self.client.last.fails(refused(403))
        self.failureResultOf(self.listener.stopped.when_fired(), ServerRefused)
        self.assertTrue(self.listener.closed.fired)

    def test_those_on_the_way(self) -> None:
        """Who has met its peer before is delivered."""
        first = self.client.meets()
        self.client.last.fails(refused(403))
        self.assertTrue(self.listener.stopped.fired)
        self.assertFalse(self.listener.closed.fired)
        first.connects()
        self.assertEqual(len(self.delivered), 1)
        self.assertTrue(self.listener.closed.fired)
