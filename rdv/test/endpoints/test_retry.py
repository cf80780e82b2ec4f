"""
One connection, and a server that restarts meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable

from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.secret import Secret, Token
from rdv.client.stream.connection import Connection
from rdv.client.trace import Trace, What
from rdv.endpoints.retry import RetryPolicy, keep_trying
from rdv.errors import (
    AttemptTimeout,
    BadToken,
    BadURL,
    NoConnection,
    NoServer,
    NotProven,
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
NEVER_RIGHT = (BadURL("x"), BadToken("x"), *map(refused, (401, 403)))
STRANGE = (ProtocolError("not HTTP"), *map(refused, (200, 302, 400, 404, 426)))


#: Events, as seconds and calls of the policy; then the errors that are final for a user who wants
#: one connection, and those that are final for a service.
HISTORIES: list[tuple[str, Iterable[Exception], bool, bool]] = [
    ("", NEVER_RIGHT, True, True),
    ("asked 60 over", NEVER_RIGHT, True, True),
    ("met", NEVER_RIGHT, True, True),
    # A user can make another token; a service must not be ended by a single request.
    ("", (refused(409),), True, False),
    ("met", (refused(409),), True, False),
    # Whatever client arrived, the peer may be the next.
    ("", (NotProven("nobody answered"),), False, False),
    # A response that asks for a retry comes from a server.
    ("", [refused(status) for status in (408, 429, 502, 503, 504)], False, False),
    # A user who has mistyped the URL need not wait.
    ("", (GONE, refused(500)), True, False),
    ("asked 0.4 over", (refused(500), NO_CERTIFICATE), True, False),
    ("asked 0.5 over", (GONE, ENDED, refused(500)), False, False),
    ("fails", (GONE, refused(500)), False, False),
    # The server may have been stopped just when the request arrived, but not every time.
    ("asked over", (ENDED,), False, False),
    ("asked over fails asked over", (ENDED,), True, False),
    # A proxy returns 404 while the server behind it restarts. Only a rendezvous server lets a
    # request wait for so long.
    ("", STRANGE, True, True),
    ("asked 29 over", STRANGE, True, True),
    ("asked 30 over", STRANGE, False, False),
    ("asked 10 asked 10 asked 10 over", STRANGE, False, False),
    ("met", STRANGE, False, False),
    # Of several servers, one that may recover is enough.
    ("", (NoServer([GONE, refused(403)]), NoServer([GONE, GONE])), True, False),
    ("", (NoServer([GONE, refused(503)]), NoServer([refused(403), refused(429)])), False, False),
    ("", (NoServer([refused(401), refused(403)]),), True, True),
    # Not the server's fault.
    ("asked 0.5 over", (NoConnection("no path"), OSError("too many open files")), True, False),
]


class PolicyTests(SynchronousTestCase):
    """Which failures are final."""

    def test_histories(self) -> None:
        """It depends on what the server has been to us."""
        for history, errors, person, service in HISTORIES:
            for error in errors:
                for patient, wanted in ((False, person), (True, service)):
                    policy = self.policy_after(history, patient)
                    said = (history, error, patient)
                    self.assertEqual(policy.is_final(error), wanted, said)

    def test_secret(self) -> None:
        """Who has taken our place cannot stand in for us: we come back."""
        policy = RetryPolicy(Clock(), lambda error: None, secured=True)
        self.assertFalse(policy.is_final(refused(409)))
        self.assertTrue(policy.is_final(refused(403)))

    def test_asked_for(self) -> None:
        """One of several servers that does not ask us to stay away is asked first."""
        late, later = (ServerRefused(URL, 503, "full", "", seconds) for seconds in (20.0, 30.0))
        for error, pause in (
            (late, 26),
            (NoServer([late, later]), 26),
            (NoServer([late, GONE]), 1),
            (NoServer([GONE]), 1),
        ):
            policy = RetryPolicy(Clock(), lambda error: None, chance=lambda: 1.0)
            self.assertEqual(policy.pause(error), pause)

    def policy_after(self, history: str, patient: bool) -> RetryPolicy:
        """One that has lived through this."""
        clock = Clock()
        policy = RetryPolicy(clock, lambda error: None, patient=patient)
        for step in history.split():
            if step == "fails":
                policy.fails(GONE)
            elif step.isalpha():
                getattr(policy, step)()
            else:
                clock.advance(float(step))
        return policy


class KeepTryingTests(SynchronousTestCase):
    """For an acceptor, unless stated otherwise; no pause is shortened at random."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = self.client.clock
        self.told: list[RdvError | None] = []

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def begin(
        self,
        timeout: float | None = None,
        role: Role = Role.ACCEPTOR,
        token: Token = "token",
    ) -> Deferred[Connection]:
        """The first attempt begins."""

        def attempt(seconds: float | None, trace: Trace) -> Deferred[Connection]:
            call = self.client.dial if role is Role.DIALER else self.client.accept
            return call(URL, token, timeout=seconds, trace=trace)

        tell, chance = self.told.append, lambda: 1.0
        return Deferred.fromCoroutine(
            keep_trying(attempt, self.clock, role, token, timeout, tell=tell, chance=chance)
        )

    def waits(self, seconds: float = 0.5) -> None:
        """The server has the request, and does not refuse it for so long."""
        self.client.last.happens(What.ASKED)
        self.clock.advance(seconds)

    def assert_final(
        self, trying: Deferred[Connection], kind: type[Exception], attempts: int = 1
    ) -> Exception:
        """It ends with this."""
        error: Exception = self.failureResultOf(trying, kind).value
        self.assertEqual(len(self.client.attempts), attempts)
        return error

    def connects(self, trying: Deferred[Connection]) -> None:
        """The newest attempt succeeds, and that is all."""
        self.client.last.connects()
        self.successResultOf(trying)

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
        self.connects(trying)
        self.assertEqual(self.told, [None])

    def test_peer_is_there(self) -> None:
        """Nobody waits for anything."""
        trying = self.begin()
        self.waits(0.4)
        self.client.last.happens(What.MET)
        self.clock.advance(1)
        self.connects(trying)
        self.assertEqual(self.told, [])

    def test_restart(self) -> None:
        """It is told once when it is gone, and when it is back."""
        for role in Role:
            self.told.clear()
            trying = self.begin(60, role)
            self.waits()
            last = refused(503, 10.0)
            self.client.last.fails(last)
            self.client.again_after(1 + 12.5)
            for error, pause in ((GONE, 2), (refused(502), 4), (refused(500), 8)):
                self.client.last.fails(error)
                self.client.again_after(pause)
            self.assertEqual(self.told, [None, last])
            self.assertAlmostEqual(self.client.last.timeout or 0, 60 - 0.5 - 27.5 * 1.01)
            self.waits()
            self.assertEqual(self.told, [None, last, None])
            self.connects(trying)

    def test_final(self) -> None:
        """It is over at once, and says why: whether the peer has come, or another program has."""
        for met, error, kind, text in (
            (True, NoConnection("no path"), NoConnection, "^no path"),
            (False, refused(409), TokenInUse, "^another program accepts with the same token"),
            (False, refused(403), ServerRefused, "403"),
        ):
            self.client.attempts.clear()
            trying = self.begin()
            self.waits()
            if met:
                self.client.last.happens(What.MET)
            self.client.last.fails(error)
            self.assertRegex(str(self.assert_final(trying, kind)), text)

    def test_another_dialer(self) -> None:
        """It comes back soon, without a word."""
        trying = self.begin(60, Role.DIALER)
        self.waits()
        self.client.last.fails(refused(409))
        self.client.again_after(0.2)
        self.assertEqual(self.told, [None])
        self.connects(trying)

    def test_not_alone(self) -> None:
        """
        Who takes the place of one with a secret, or meets it without knowing the secret, does not
        end it: that is told once, and the pauses grow though the server lets it wait in between.
        """
        for role, met, error in (
            (Role.ACCEPTOR, False, refused(409)),
            (Role.ACCEPTOR, True, NotProven("nobody answered")),
            (Role.DIALER, True, NotProven("nobody answered")),
        ):
            self.told.clear()
            self.client.attempts.clear()
            trying = self.begin(600, role, Secret.generate())
            for pause in (1, 2, 4, 8, 16, 30, 30):
                self.waits()
                if met:
                    self.client.last.happens(What.MET)
                self.client.last.fails(error)
                self.client.again_after(pause)
            self.assertEqual(self.told[0], None)
            (trouble,) = self.told[1:]
            self.assertRegex(str(trouble), "^(another program accepts|the peer did not prove)")
            self.waits(59 - 30)
            self.assertEqual(len(self.told), 2)
            self.clock.advance(1)
            self.assertIsNone(self.told[2])
            self.client.last.fails(error)
            self.client.again_after(1)
            self.connects(trying)

    def test_never_proved(self) -> None:
        """When time is up, that is why."""
        trying = self.begin(5, Role.DIALER, Secret.generate())
        for pause in (1, 2):
            self.client.last.fails(NotProven("nobody answered"))
            self.client.again_after(pause)
        self.client.last.fails(NotProven("relay: it does not know the secret"))
        error = self.assert_final(trying, NotProven, 3)
        self.assertRegex(
            str(error), "^the peer did not prove that it knows the secret.*: it does not know the"
        )

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
        self.client.again_after(1)
        self.client.last.fails(AttemptTimeout(8.5, "no peer arrived"))
        self.assertEqual(
            str(self.assert_final(trying, AttemptTimeout, 2)),
            f"no connection within 10 s: {GONE}, then no peer arrived",
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
