"""
The secure channel as a transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._secure.path import SecurePath, Signal
from rdv._secure.records import MOST_PLAINTEXT, OVERHEAD
from rdv._system.sockets import linger
from rdv._transport.ending import EndingTransport
from rdv._transport.interfaces import TCPTransport
from rdv.errors import ProtocolError

__all__ = ["PeerNotProven", "SecureTransport"]

#: Seconds for the peer to show that its handshake message was no recording.
_PROOF_WITHIN = 10.0
#: Seconds that a side that closes waits for the peer's end, once the peer has everything.
_END_WITHIN = 5.0
_NO_PROOF = "the peer did not prove that it knows the secret"
_NO_END = "the peer did not end the secured stream"
_CUT_OFF = "the secured stream was cut off"
#: Bytes that the transport below reads at a time, and that may wait in it before a producer is
#: paused: whole records, and more than a piece of 64 KiB becomes. Above 128 KiB malloc is slow.
_BUFFER = 6 * (MOST_PLAINTEXT + OVERHEAD)


class PeerNotProven(ConnectionLost):
    """What came on a secured stream, or what did not come, shows that it is not the peer's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


@implementer(IProtocol, IHalfCloseableProtocol, ITCPTransport, IConsumer, IPushProducer)
class SecureTransport(EndingTransport):
    """
    A protocol to the transport below, a transport to the protocol above.

    TCP is never half-closed: ``loseWriteConnection`` sends END, and the peer's END is reported as
    ``readConnectionLost``, or closes the connection when the protocol does not care for half-close.
    ``connectionLost`` has ``ConnectionDone`` when both directions have ended and each application
    has been given everything. In any other case the stream is broken: ``ConnectionLost``.

    It reads by itself until the peer is known to be there, even while it is paused; what one read
    has brought may reach the protocol then.

    :param early: what has come on the path already. It is delivered in the next turn, or with what
        comes next.
    :ivar path: the state of the channel.
    :ivar on_ready: called when the peer is known to be there; for a dialer only.
    """

    on_ready: Callable[[], object] = staticmethod(lambda: None)

    def __init__(
        self,
        clock: IReactorTime,
        path: SecurePath,
        protocol: IProtocol,
        early: bytes = b"",
    ) -> None:
        super().__init__(protocol)
        self.path = path
        self._clock = clock
        self._early = early
        self._paused = False
        self._end_read = self._end_confirmed = self._finished = False
        self._waiting: IDelayedCall | None = None

    # The protocol, to the transport below.

    def makeConnection(self, transport: ITransport) -> None:
        """See :class:`IProtocol`: an acceptor says that it is there."""
        self.transport = cast(TCPTransport, transport)
        if isinstance(transport, FileDescriptor):
            transport.bufferSize = _BUFFER
        if self.path.ready:
            self.transport.writeSequence(self.path.announce())
        else:
            self._limit(_PROOF_WITHIN, PeerNotProven(_NO_PROOF))
        if self._early:
            self._clock.callLater(0, self.dataReceived, b"")
        self.protocol.makeConnection(cast(ITransport, self))

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        """Open what came, and deliver it in one piece."""
        if not self._takes:
            return
        if self._early:
            data, self._early = self._early + data, b""
        plain: list[memoryview] = []
        failure = None
        try:
            for event in self.path.receive(data):
                if not self._takes:
                    return
                if isinstance(event, Signal):
                    self._deliver(plain)
                    self._signalled(event)
                else:
                    plain.append(event)
        except ProtocolError as error:
            reason = str(error) if self.path.ready else f"{_NO_PROOF}: {error}"
            failure = Failure(PeerNotProven(reason))
        self._deliver(plain)
        if failure is not None and self._takes:
            self._fail(failure)

    @property
    def _takes(self) -> bool:
        """Whether anything that comes is looked at: not behind the last DONE, or an abort."""
        return self.connected and not self._finished

    def _deliver(self, plain: list[memoryview]) -> None:
        data = b"".join(plain)
        plain.clear()
        if data and self._takes and not self.disconnecting:
            self.protocol.dataReceived(data)

    def _signalled(self, signal: Signal) -> None:
        if signal is Signal.READY:
            self._stop_waiting()
            if self._paused:
                self.transport.pauseProducing()
            self.on_ready()
        elif signal is Signal.END:
            self._end_read = True
            if not self.disconnecting:
                if IHalfCloseableProtocol.providedBy(self.protocol):
                    self.protocol.readConnectionLost()
                else:
                    self.loseConnection()
            self._confirm_end()
        elif self.path.over:
            self._close()
        elif self.disconnecting:
            self._limit(_END_WITHIN, ConnectionLost(_NO_END))

    def _confirm_end(self) -> None:
        """Say DONE, unless the protocol has still to take something."""
        taken = self.disconnecting or not self._paused
        if self._takes and self._end_read and taken and not self._end_confirmed:
            self._end_confirmed = True
            self.transport.writeSequence(self.path.confirm_end())
            if self.path.over:
                self._close()

    def _close(self) -> None:
        # In good order, whatever was to become of a stream that is not.
        self._finished = True
        linger(self.transport, False)
        self.transport.loseConnection()

    def _limit(self, seconds: float, lacking: ConnectionLost) -> None:
        if self._waiting is None:
            self._waiting = self._clock.callLater(seconds, self._fail, Failure(lacking))

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        self._waiting = None

    def readConnectionLost(self) -> None:
        """The end of TCP says nothing behind the end of the stream; before, something was cut."""
        self._take_early()
        if self._takes:
            self._fail(Failure(ConnectionLost(_CUT_OFF)))

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: TCP is never closed by half."""

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IProtocol`."""
        self._take_early()
        if self.path.over:
            reason = Failure(ConnectionDone())
        elif reason.check(ConnectionDone):
            reason = Failure(ConnectionLost(_CUT_OFF))
        self._lose(reason)

    def _take_early(self) -> None:
        # The connection may be lost in the turn in which it was handed over.
        if self._early:
            self.dataReceived(b"")

    def _fail(self, reason: Failure) -> None:
        self.transport.abortConnection()
        self._lose(reason)

    def _lose(self, reason: Failure) -> None:
        self._stop_waiting()
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(reason)

    # The transport, to the protocol above.

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`."""
        if self.connected and not self._write_ended and data:
            # All at once: a producer that is paused in between may end the stream.
            self.transport.writeSequence(self.path.seal(data))

    def _send_end(self) -> None:
        self.transport.writeSequence(self.path.end())

    def loseConnection(self) -> None:
        """
        End our direction, not before a registered producer is done, and close when the peer has
        everything. What it still sends is discarded; for its own end it has five seconds then.
        """
        self.disconnecting = True
        if not self.connected:
            return
        if self._producer is None:
            self._end()
        self.resumeProducing()
        if self.path.delivered and not self.path.over:
            self._limit(_END_WITHIN, ConnectionLost(_NO_END))

    def abortConnection(self) -> None:
        """Close at once, without a word: the peer sees a broken stream."""
        self.disconnecting = self._write_ended = self._finished = True
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """Stop reading; at most what one read of the transport below has brought still comes."""
        if self.disconnecting or self._end_confirmed:
            return  # there is nothing more that could be held back
        self._paused = True
        if self.path.ready:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on. A protocol that has been told of the end has it now."""
        self._paused = False
        self._confirm_end()
        if self.connected:
            self.transport.resumeProducing()
