"""
A connection whose choice is not final: a direct path and the relay in memory, with the test at the
other end of both; and an application that writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface import implementer

from rdv.client.candidates import candidate as candidate_module
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
from rdv.test.doubles import HalfCloseRecorder, connect
from rdv.wire import Role

HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"

#: More than enough for a choice to become final, one way or the other.
LONG = 100.0


class Path:
    """
    A connection of a candidate.

    :ivar near: the candidate's transport.
    :ivar far: what the other end has received.
    :ivar acknowledged: how many bytes the other side's system has acknowledged.
    """

    def __init__(self, clock: Clock, role: Role, *, is_relay: bool) -> None:
        self.candidate = Candidate(clock, role, b"token", is_relay=is_relay)
        self.far = HalfCloseRecorder()
        self.far_end, self.near = connect(clock, self.far, self.candidate)
        self.acknowledged: int | None = 0
        self._clock = clock

    @property
    def received(self) -> bytes:
        """What the other end has got behind the handshake."""
        return self.far.received.removeprefix(HELLO).removeprefix(CONFIRM)

    @property
    def open(self) -> bool:
        """Whether our end is, and is to stay so."""
        return not (self.near.disconnected or self.near.disconnecting or self.near.aborted)

    @property
    def ended(self) -> bool:
        """Whether the other end has seen the end of the stream, and not a broken one."""
        return self.far.read_ended == 1 and (self.far.lost is None or self.far.lost_cleanly)

    def deliver(self, data: bytes) -> None:
        """The other end sends, and it arrives."""
        self.far_end.write(data)
        self._clock.advance(0)

    def end(self) -> None:
        """The other end closes in good order, and we learn of it."""
        self.far_end.loseConnection()
        self._clock.advance(0)

    def lose(self) -> None:
        """The connection breaks."""
        self.near.lose(ConnectionLost())
        self._clock.advance(0)


class ProbationTestCase(SynchronousTestCase):
    """
    The dialer's side; a subclass may take the acceptor's.

    :ivar wire: the application's protocol; it is attached already.
    """

    role = Role.DIALER
    connection: Connection

    def setUp(self) -> None:
        self.begin()

    def begin(self, *, relay_ready: bool = True, behind: bytes = b"", attach: bool = True) -> None:
        """
        A direct path has been chosen.

        :param relay_ready: for a dialer: whether HELLO has come on the relay.
        :param behind: what has come behind the line on the direct path.
        """
        self.clock = Clock()
        self.direct = Path(self.clock, self.role, is_relay=False)
        self.relay = Path(self.clock, self.role, is_relay=True)
        self.patch(candidate_module, "bytes_acknowledged", self._acknowledged)
        if self.role is Role.DIALER and relay_ready:
            self.relay.deliver(HELLO)
        self.direct.deliver((HELLO if self.role is Role.DIALER else CONFIRM) + behind)
        chosen = Deferred.fromCoroutine(self.direct.candidate.choose())
        self.successResultOf(chosen)
        self.connection = Connection(self.direct.candidate, None, Headers(), self.relay.candidate)
        self.wire = HalfCloseRecorder()
        if attach:
            self.connection.attach(self.wire)
        self.clock.advance(0)

    def _acknowledged(self, transport: object) -> int | None:
        for path in (self.direct, self.relay):
            if path.near is transport:
                return path.acknowledged
        raise AssertionError("nobody's transport")

    def acknowledge(self) -> None:
        """The direct path's other end has got CONFIRM and what is behind it, and we look."""
        self.clock.advance(0)
        self.direct.acknowledged = len(self.direct.far.received)
        self.clock.advance(1)

    def assert_direct(self) -> None:
        """The choice is final: the direct path, and the relay is closed in good order."""
        self.clock.advance(0)
        self.assertTrue(self.direct.open)
        self.assertFalse(self.relay.near.connected)
        self.assertTrue(self.relay.ended)
        self.assertFalse(self.connection.is_relay)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def assert_relayed(self) -> None:
        """The choice is final: the relay, and the direct path is reset."""
        self.clock.advance(0)
        self.assertTrue(self.relay.open)
        self.assertFalse(self.direct.near.connected)
        self.assertTrue(self.connection.is_relay)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def assert_nothing_left(self) -> None:
        """Neither connections nor timers."""
        self.clock.advance(0)
        self.assertFalse(self.direct.near.connected)
        self.assertFalse(self.relay.near.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


@implementer(IPushProducer, IPullProducer)
class Source:
    """
    An application's producer.

    :param pieces: how many times it writes.
    :param write: writes a piece.
    :param done: called when that is done.
    :ivar stopped: how often it was told to stop.
    """

    def __init__(
        self,
        clock: Clock,
        pieces: int,
        write: Callable[[], object],
        done: Callable[[], object],
        *,
        streaming: bool,
    ) -> None:
        self._clock = clock
        self._left = pieces
        self._write = write
        self._done = done
        self._streaming = streaming
        self._paused = self._finished = False
        self.stopped = 0

    def begin(self) -> None:
        """Produce by itself, if it is a push producer."""
        if self._streaming:
            self._clock.callLater(0, self._produce)

    def _produce(self) -> None:
        if not self._paused and not self._finished and not self.stopped:
            self._next()
            self.begin()

    def _next(self) -> None:
        if self._left:
            self._left -= 1
            self._write()
        elif not self._finished:
            self._finished = True
            self._done()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if not self._streaming:
            self._next()
        elif self._paused:
            self._paused = False
            self.begin()

    def stopProducing(self) -> None:
        self.stopped += 1


#: What an application does: write so many bytes, let a producer of one kind write so many pieces,
#: or let some time pass.
Step: TypeAlias = tuple[str, int]
#: How much a producer writes at a time.
PIECE = 17_000


class Application:
    """
    Writes a stream in which any error shows, and records it.

    :ivar written: all of it.
    :ivar sources: its producers.
    """

    def __init__(self, test: ProbationTestCase) -> None:
        self._test = test
        self._number = 0
        self._waiting: list[Step] = []
        self._producing = False
        self.written = b""
        self.sources: list[Source] = []
        self._finish: Callable[[], object] = lambda: None

    def write(self, size: int) -> None:
        """So many bytes, unlike all others."""
        self._number += 1
        data = self._number.to_bytes(3, "big") * (size // 3 + 1)
        self.written += data[:size]
        self._test.connection.write(data[:size])

    def run(self, steps: list[Step]) -> None:
        """Take these steps, each when the producer of the one before it is done."""
        self._waiting += steps
        self._go_on()

    def end(self, how: str) -> None:
        """Call a method of the connection when all steps are taken."""
        if how:
            self._finish = getattr(self._test.connection, how)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._producing:
            kind, number = self._waiting.pop(0)
            if kind == "write":
                self.write(number)
            elif kind == "turn":
                self._producing = True
                self._test.clock.callLater(0, self._done)
            else:
                self._produce(number, streaming=kind == "push")
        if not self._waiting and not self._producing:
            finish, self._finish = self._finish, lambda: None
            finish()

    def _produce(self, pieces: int, *, streaming: bool) -> None:
        self._producing = True
        connection = self._test.connection

        def done() -> None:
            connection.unregisterProducer()
            self._done()

        source = Source(
            self._test.clock, pieces, lambda: self.write(PIECE), done, streaming=streaming
        )
        self.sources.append(source)
        connection.registerProducer(source, streaming)
        source.begin()

    def _done(self) -> None:
        self._producing = False
        self._go_on()


class WritingTestCase(ProbationTestCase):
    """An application writes."""

    def begin(self, **options: bool) -> None:  # type: ignore[override]
        super().begin(**options)  # type: ignore[arg-type]
        self.application = Application(self)

    def switch(self) -> None:
        """The direct path is dead."""
        self.direct.lose()
