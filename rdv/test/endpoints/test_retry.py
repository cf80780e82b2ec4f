"""
One connection, and a server that restarts meanwhile.
"""

from __future__ import annotations

from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.connection import Connection
from rdv.client.trace import Trace, What
from rdv.endpoints.retry import keep_trying
from rdv.errors import (
    AttemptTimeout,
    NoConnection,
    ProtocolError,
    RdvError,
    ServerRefused,
    ServerUnreachable,
    TokenInUse,
)
from rdv.test.endpoints.doubles import URL, FakeClient, refused
from rdv.wire import Role

GONE = ServerUnreachable("cannot reach it: connection refused")
ENDED = ServerUnreachable("cannot reach it: the connection ended without an answer")
NO_CERTIFICATE = ServerUnreachable("cannot reach it: TLS: alert certificate required")
NO_CERTIFICATE.__cause__ = TLSError()


class KeepTryingTests(SynchronousTestCase):
    """Of an acceptor, unless it says otherwise; no pause is shortened at random."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = self.client.clock
        self.told: list[RdvError | None] = []

    def begin(
        self, timeout: float | None = None, role: Role = Role.ACCEPTOR
    ) -> Deferred[Connection]:
        """The first attempt begins."""

        def attempt(seconds: float | None, trace: Trace) -> Deferred[Connection]:
            call = self.client.dial if role is Role.DIALER else self.client.accept
            return call(URL, "token", timeout=seconds, trace=trace)

        trying = keep_trying(
            attempt,
            self.clock,
            role,
            "token",
            timeout,
            tell=self.told.append,
            chance=lambda: 1.0,
        )
        return Deferred.fromCoroutine(trying)

    def waits(self, seconds: float = 0.5) -> None:
        """The server has the request, and does not refuse it for so long."""
        self.client.last.happens(What.ASKED)
        self.clock.advance(seconds)

    def again_after(self, pause: float) -> None:
        """The next attempt comes so much later, and not earlier."""
        count = len(self.client.attempts)
        self.clock.advance(pause * 0.99)
        self.assertEqual(len(self.client.attempts), count)
        self.clock.advance(pause * 0.02)
        self.assertEqual(len(self.client.attempts), count + 1)

    def assert_final(
        self, trying: Deferred[Connection], kind: type[Exception], attempts: int = 1
    ) -> Exception:
        """It ends with this, and leaves nothing."""
        error: Exception = self.failureResultOf(trying, kind).value
        self.assertEqual(len(self.client.attempts), attempts)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return error

    def test_waits(self) -> None:
        """Which is told."""
        trying = self.begin()
        self.waits(0.4)
        self.assertEqual(self.told, [])
        self.clock.advance(0.1)
        self.assertEqual(self.told, [None])
        self.client.last.happens(What.ASKED)  # nobody came, and it is asked once more
        self.clock.advance(0.5)
        self.client.last.happens(What.MET)
        self.client.last.connects()
        self.successResultOf(trying)
        self.assertEqual(self.told, [None])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_peer_is_there(self) -> None:
        """Nobody waits for anything."""
        trying = self.begin()
        self.waits(0.4)
        self.client.last.happens(What.MET)
        self.clock.advance(1)
        self.client.last.connects()
        self.successResultOf(trying)
        self.assertEqual(self.told, [])

    def test_restart(self) -> None:
        """It is told once when it is gone, and when it is back."""
        for role in Role:
            self.told.clear()
            trying = self.begin(60, role)
            self.waits()
            last = refused(503, 10.0)
            self.client.last.fails(last)
            self.again_after(1 + 10)
            for error, pause in ((GONE, 2), (refused(502), 4), (refused(500), 8)):
                self.client.last.fails(error)
                self.again_after(pause)
            self.assertEqual(self.told, [None, last])
            self.assertAlmostEqual(self.client.last.timeout or 0, 60 - 0.5 - 25 * 1.01)
            self.waits()
            self.assertEqual(self.told, [None, last, None])
            self.client.last.connects()
            self.successResultOf(trying)

    def test_proven(self) -> None:
        """A proxy says 404 while what is behind it restarts; nothing else lets us wait so long."""
        trying = self.begin()
        self.waits(30)
        for error, pause in ((refused(404), 1), (ProtocolError("not HTTP"), 2)):
            self.client.last.fails(error)
            self.again_after(pause)
        self.client.last.connects()
        self.successResultOf(trying)

    def test_never_there(self) -> None:
        """A person who has mistyped the URL need not wait."""
        for error in (GONE, refused(404), refused(500), refused(302), ProtocolError("not HTTP")):
            self.client.attempts.clear()
            trying = self.begin()
            if error is not GONE:
                self.client.last.happens(What.ASKED)
            self.client.last.fails(error)
            self.assertIs(self.assert_final(trying, type(error)), error)
        self.assertEqual(self.told, [])

    def test_stopped_as_we_came(self) -> None:
        """It had our request, but not for long."""
        trying = self.begin()
        self.client.last.happens(What.ASKED)
        self.client.last.fails(ENDED)
        for pause in (1, 2, 4):
            self.again_after(pause)
            self.client.last.fails(GONE)
        self.again_after(8)
        self.waits()
        self.client.last.fails(ENDED)
        self.again_after(1)
        self.client.last.connects()
        self.successResultOf(trying)
        self.assertEqual(self.told, [ENDED, None, ENDED])

    def test_always_ends(self) -> None:
        """Something else, which takes what we say and never answers."""
        trying = self.begin()
        self.client.last.happens(What.ASKED)
        self.client.last.fails(ENDED)
        self.again_after(1)
        self.client.last.happens(What.ASKED)
        self.client.last.fails(ENDED)
        self.assertIs(self.assert_final(trying, ServerUnreachable, 2), ENDED)

    def test_certificate_is_missing(self) -> None:
        """With TLS 1.3 we are told behind our request; it is no server that stops."""
        trying = self.begin()
        self.client.last.happens(What.ASKED)
        self.client.last.fails(NO_CERTIFICATE)
        self.assert_final(trying, ServerUnreachable)
        self.assertEqual(self.told, [])

    def test_overloaded(self) -> None:
        """Who asks us to come back is a server."""
        for status in (429, 502, 503, 504):
            trying = self.begin()
            self.client.last.fails(refused(status))
            self.again_after(1)
            self.client.last.fails(GONE)  # it restarts
            self.again_after(2)
            self.client.last.connects()
            self.successResultOf(trying)

    def test_not_allowed(self) -> None:
        """Not even from one that has let us wait."""
        for status in (401, 403):
            self.client.attempts.clear()
            trying = self.begin()
            self.waits(60)
            self.client.last.fails(refused(status))
            self.assert_final(trying, ServerRefused)

    def test_no_path(self) -> None:
        """The peer has come: there is no next one."""
        trying = self.begin()
        self.waits()
        self.client.last.happens(What.MET)
        self.client.last.fails(NoConnection("no path"))
        self.assert_final(trying, NoConnection)

    def test_another_acceptor(self) -> None:
        trying = self.begin()
        self.waits()
        self.client.last.fails(refused(409))
        error = self.assert_final(trying, TokenInUse)
        self.assertRegex(str(error), "^another program accepts with the same token")

    def test_another_dialer(self) -> None:
        """It comes back soon, without a word."""
        trying = self.begin(60, Role.DIALER)
        self.waits()
        self.client.last.fails(refused(409))
        self.again_after(0.2)
        self.assertEqual(self.told, [None])
        self.client.last.connects()
        self.successResultOf(trying)

    def test_no_time_left(self) -> None:
        """What is wrong is said at once, and not when time is up."""
        trying = self.begin(5)
        self.waits()
        last = refused(503, 10.0)
        self.client.last.fails(last)
        self.assertIs(self.assert_final(trying, ServerRefused), last)

    def test_timeout_later(self) -> None:
        """It says what had gone wrong before."""
        trying = self.begin(10)
        self.waits()
        self.client.last.fails(GONE)
        self.again_after(1)
        self.client.last.fails(AttemptTimeout(8.5, "the peer did not come"))
        self.assertEqual(
            str(self.assert_final(trying, AttemptTimeout, 2)),
            f"no connection within 10 s: {GONE}, then the peer did not come",
        )

    def test_cancelled(self) -> None:
        """While it waits, and in a pause."""
        for pauses in (False, True):
            trying = self.begin()
            self.waits()
            self.client.last.happens(What.ASKED)
            if pauses:
                self.client.last.fails(GONE)
            trying.cancel()
            self.failureResultOf(trying, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])
