"""
Test doubles for what makes connections with a client: a client whose attempts the test controls,
and a listener that uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from rdv._secure.secret import Token
from rdv.client.candidates.candidate import Candidate
from rdv.client.servers.urls import Servers
from rdv.client.stream.connection import Connection
from rdv.client.trace import Event, Trace, What
from rdv.endpoints.dial_queue import HEAD_START
from rdv.endpoints.listener import Listener
from rdv.errors import RdvError, ServerRefused
from rdv.test.client.doubles import ByteTransport
from rdv.wire import Role, confirm_line

URL = "http://example.com/rdv"
PEER = IPv4Address("TCP", "192.0.2.1", 40112)


def connection(clock: Clock | None = None) -> tuple[Connection, ByteTransport]:
    """A connection to a peer, and the transport below it."""
    candidate = Candidate(clock or Clock(), Role.ACCEPTOR, b"token")
    below = ByteTransport(candidate, PEER)
    below.connect()
    below.deliver(confirm_line(b"token"))
    below.clear()
    return Connection(candidate, None, Headers()), below


def refused(status: int, retry_after: float | None = None) -> ServerRefused:
    """What a server's answer with this status becomes."""
    return ServerRefused(URL, status, "Because", "of this", retry_after)


@dataclass(eq=False)
class Attempt:
    """
    One call of ``dial`` or ``accept``.

    :ivar closes_late: whether it goes on when it is cancelled, until the test ends it.
    :ivar cancelled: whether it was.
    :ivar in_lobby: whether it is in the lobby, where one attempt replaces another.
    """

    role: Role
    token: Token
    timeout: float | None
    trace: Trace | None
    options: dict[str, Any]
    closes_late: bool
    cancelled: bool = False
    in_lobby: bool = True

    def __post_init__(self) -> None:
        self.result: Deferred[Connection] = Deferred(self._cancel)
        self.result.addErrback(self._cancelled)
        self._closing: Deferred[Connection] | None = None

    def _cancel(self, result: Deferred[Connection]) -> None:
        self.cancelled = True
        self.in_lobby = False

    def _cancelled(self, failure: Failure) -> Failure | Deferred[Connection]:
        if not self.cancelled or not self.closes_late:
            return failure
        self._closing = Deferred()
        return self._closing

    @property
    def pending(self) -> Deferred[Connection]:
        """What fires at its end."""
        return self._closing or self.result

    def happens(self, what: What) -> None:
        """Something happens that a trace is told."""
        if what is What.MET:
            self.in_lobby = False
        if self.trace is not None:
            self.trace(Event(0.0, 1, what))

    def connects(self) -> ByteTransport:
        """It succeeds; return the transport below the connection."""
        self.in_lobby = False
        made, below = connection()
        self.pending.callback(made)
        return below

    def fails(self, error: Exception) -> None:
        """It fails."""
        self.in_lobby = False
        self.pending.errback(error)


class FakeClient:
    """
    A client without a network.

    :ivar clock: its clock.
    :ivar attempts: all calls so far.
    :ivar most_in_lobby: how many of them were there at the same time.
    :ivar closes_late: whether a cancelled attempt goes on until the test ends it.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.attempts: list[Attempt] = []
        self.most_in_lobby = 0
        self.closes_late = False

    def dial(
        self,
        url: Servers,
        token: Token,
        *,
        timeout: float | None = 60.0,
        trace: Trace | None = None,
        secure: bool | None = None,
        role: Role = Role.DIALER,
        **options: Any,
    ) -> Deferred[Connection]:
        attempt = Attempt(role, token, timeout, trace, options, self.closes_late)
        self.attempts.append(attempt)
        self.most_in_lobby = max(self.most_in_lobby, sum(each.in_lobby for each in self.attempts))
        return attempt.result

    def accept(
        self,
        url: Servers,
        token: Token,
        *,
        timeout: float | None = None,
        trace: Trace | None = None,
        secure: bool | None = None,
        **options: Any,
    ) -> Deferred[Connection]:
        return self.dial(url, token, timeout=timeout, trace=trace, role=Role.ACCEPTOR, **options)

    @property
    def last(self) -> Attempt:
        """The newest attempt."""
        return self.attempts[-1]

    def meets(self) -> Attempt:
        """The newest one has met its peer; what follows from that has happened."""
        attempt = self.last
        attempt.happens(What.MET)
        self.next_begins()
        return attempt

    def next_begins(self) -> None:
        """So much later the next attempt begins, when one has met its peer."""
        self.clock.pump([HEAD_START, 0, 0])

    def again_after(self, pause: float) -> None:
        """Assert that the next attempt comes so much later, and not earlier."""
        count = len(self.attempts)
        for seconds, more in ((pause * 0.99, 0), (pause * 0.02, 1)):
            self.clock.advance(seconds)
            assert len(self.attempts) == count + more, (len(self.attempts), count + more)

    def nothing_left(self) -> bool:
        """Whether there is no timer, and no attempt."""
        return not self.clock.getDelayedCalls() and all(a.result.called for a in self.attempts)


class ListenerTestCase(SynchronousTestCase):
    """A listener that has begun; no pause is shortened at random."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = self.client.clock
        self.delivered: list[Connection] = []
        self.told: list[RdvError | None] = []
        self.listen()

    def listen(self, **options: Any) -> None:
        """Start one, after which no other attempt counts."""
        self.client.attempts.clear()
        self.listener = Listener(
            self.client,
            URL,
            "token",
            {"headers": {"X": "1"}},
            self.delivered.append,
            self.told.append,
            chance=lambda: 1.0,
            **options,
        )
        self.listener.start()

    def assert_nothing_left(self) -> None:
        """No timer, and no attempt."""
        self.assertTrue(self.client.nothing_left())
