"""
One connection of a secured stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._secure.path import Event, SecurePath, Signal
from rdv._secure.records import MOST_PLAINTEXT, OVERHEAD
from rdv._system.sockets import linger
from rdv._transport.interfaces import TCPTransport
from rdv.errors import ProtocolError

__all__ = [
    "CUT_OFF",
    "NO_PROOF",
    "FirstPathLost",
    "Joining",
    "PathEnd",
    "PathOwner",
    "PeerNotProven",
]

NO_PROOF = "the peer did not prove that it knows the secret"
CUT_OFF = "the secured stream was cut off"
#: Bytes that the transport below reads at a time, and that it buffers before it pauses a producer:
#: whole records, and room for those of 64 KiB of data. Above 128 KiB, malloc is slow.
_BUFFER = 6 * (MOST_PLAINTEXT + OVERHEAD)
#: Bytes that it sends at a time: everything that is buffered when a producer is paused. Otherwise
#: the rest would be sent by itself before the producer is resumed.
_SEND_LIMIT = 2 * _BUFFER


class PeerNotProven(ConnectionLost):
    """The data on a secured stream, or its absence, shows that the stream is not the peer's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


class FirstPathLost(ConnectionLost):
    """The path on which a stream began was lost while it was moving to another one."""


class PathOwner(Protocol):
    """Gets the events of a path."""

    def path_begun(self, end: PathEnd, /) -> None:
        """The connection is established."""

    def path_reads(self, end: PathEnd, /) -> bool:
        """Whether data that arrives on it is processed now; other data waits."""

    def path_received(self, plain: list[memoryview], /) -> None:
        """Data of the application has arrived. The list is emptied."""

    def path_signalled(self, end: PathEnd, signal: Signal, /) -> None:
        """A signal from the peer has arrived."""

    def path_forged(self, end: PathEnd, reason: Failure, /) -> None:
        """Data that is not from the peer has arrived."""

    def path_lost(self, end: PathEnd, reason: Failure, /) -> None:
        """The connection is lost, or has ended."""


@implementer(IProtocol, IHalfCloseableProtocol)
class PathEnd:
    """
    A protocol to the transport below. It keeps data that must not be processed yet, one read at
    most.

    :param early: data that has already arrived on the path. It is processed in the next turn, or
        with the next data.
    :ivar path: seals and opens.
    :ivar is_open: whether the connection exists, and we have not closed it.
    """

    transport: TCPTransport

    def __init__(
        self, clock: IReactorTime, owner: PathOwner, path: SecurePath, early: bytes = b""
    ) -> None:
        self.path = path
        self.is_open = False
        self._connected = False
        self._clock = clock
        self._owner = owner
        self._unread = [early] if early else []
        self._held: Iterator[Event] | None = None
        self._busy = False
        self._reads = True

    # The protocol, to the transport below.

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast(TCPTransport, transport)
        self.is_open = self._connected = True
        if isinstance(transport, FileDescriptor):
            transport.bufferSize = _BUFFER
            transport.SEND_LIMIT = _SEND_LIMIT
        if self._unread:
            self._clock.callLater(0, self.go_on)
        self._owner.path_begun(self)

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        """Decrypt the data, if it may be processed now."""
        if self.is_open:
            self._unread.append(data)
            self.go_on()

    def readConnectionLost(self) -> None:
        """Before we have left the connection, an end is a cut-off: nobody half-closes it."""
        self.go_on()
        if not self.is_open:
            self.close()
        else:
            self.abort()
            self._owner.path_lost(self, Failure(ConnectionLost(CUT_OFF)))

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: our direction of it has not ended."""

    def connectionLost(self, reason: Failure) -> None:
        if reason.check(ConnectionDone):
            reason = Failure(ConnectionLost(CUT_OFF))
        self.go_on()  # early data is still unprocessed if it is lost in the turn of the handover
        self.is_open = self._connected = False
        self._owner.path_lost(self, reason)
        del self._owner  # breaks a reference cycle

    # Receiving.

    def go_on(self) -> None:
        """Process the kept data, as far as this is allowed now."""
        if self._busy:
            return
        self._busy = True
        try:
            while (self._held or self._unread) and self.is_open and self._owner.path_reads(self):
                events, self._held = self._held, None
                if events is None:
                    data, self._unread = b"".join(self._unread), []
                    events = self.path.receive(data)
                self._look_at(events)
        finally:
            self._busy = False

    def _look_at(self, events: Iterator[Event]) -> None:
        """Process events. Data between two signals is delivered in one piece."""
        owner = self._owner  # the connection may be lost meanwhile
        plain: list[memoryview] = []
        failure = None
        try:
            for event in events:
                if isinstance(event, Signal):
                    owner.path_received(plain)
                    owner.path_signalled(self, event)
                    if not owner.path_reads(self):
                        self._held = events
                        return
                else:
                    plain.append(event)
        except ProtocolError as error:
            reason = str(error) if self.path.ready else f"{NO_PROOF}: {error}"
            failure = Failure(PeerNotProven(reason))
        owner.path_received(plain)
        if failure is not None:
            owner.path_forged(self, failure)

    def read(self, wanted: bool) -> None:
        """Set whether to read; kept data is processed first."""
        if not self.is_open:
            return
        if wanted is not self._reads:
            self._reads = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()
        if wanted:
            self.go_on()

    # Sending, and the end.

    def say(self, signal: Signal) -> None:
        """Write the record of a signal."""
        self.transport.writeSequence(self.path.say(signal))

    def leave(self) -> None:
        """
        We have finished with the connection in both directions, but the peer may not have: a server
        may still hold data for it. Therefore only our direction ends now, and the connection is
        closed when the peer's has ended. If we closed it now, our system would forget it after a
        minute, which the server would see as a loss.
        """
        if self.is_open:
            self.is_open = False
            linger(self.transport, False)
            self.transport.resumeProducing()
            self.transport.loseWriteConnection()

    def close(self) -> None:
        """Close cleanly, even if it was set to be reset on close."""
        if self._connected:
            self.is_open = False
            linger(self.transport, False)
            self.transport.loseConnection()

    def abort(self) -> None:
        """Abort immediately, even if it is being closed."""
        self.is_open = False
        if self._connected:
            self.transport.abortConnection()


class Joining(PathEnd):
    """
    A path that may take over from the first one.

    :param give_up: called with this object when ``proven`` is cancelled.
    :ivar proven: fires with None when it has taken over: from then on the peer is known to use it,
        and our direction, unless it has ended, continues on it. Errbacks when, before that, the
        path is lost or no longer of use. Cancelling it closes the path of a dialer. An acceptor,
        whose peer may be about to move, only stops waiting.
    """

    def __init__(
        self,
        clock: IReactorTime,
        owner: PathOwner,
        path: SecurePath,
        early: bytes,
        give_up: Callable[[Joining], None],
    ) -> None:
        super().__init__(clock, owner, path, early)
        self.proven: Deferred[None] = Deferred(lambda _: give_up(self))

    def has_taken_over(self) -> None:
        """Fire :attr:`proven`, if anything waits for it."""
        if not self.proven.called:
            self.proven.callback(None)

    def has_failed(self, reason: Failure) -> None:
        """Errback :attr:`proven`, if anything waits for it."""
        if not self.proven.called:
            self.proven.errback(reason)
