"""
A connection between stdin and stdout, until both directions have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._flows.sinks import ReaderLeft, Sink
from rdv._flows.sources import Source
from rdv._stdio.own_end import OwnEnd
from rdv._system.tcp_info import undelivered
from rdv._system.terminal import has_room
from rdv._transport.secured import SecureTransport
from rdv.client.reasons import break_text
from rdv.client.stream.connection import Connection
from rdv.client.stream.receiver import IPathListener
from rdv.errors import RdvError

if TYPE_CHECKING:
    from rdv._flows.kernel.shortcut import Shortcut
    from rdv._flows.kernel.takeover import Splicer

__all__ = ["Piping", "StreamBroken"]

#: Seconds between two checks of the connection after the peer has ended: while there is more to
#: send, and when only the kernel has something left.
_STILL_SENDING, _NEARLY_DONE = 0.5, 0.02
#: Seconds for the peer's end to arrive after the reader of the sink has left: the reader may have
#: had everything.
_END_COMES = 5.0

_CANNOT_WRITE = "cannot write the data from the peer: "


class StreamBroken(RdvError):
    """The stream ended before both directions had ended cleanly."""


@implementer(IHalfCloseableProtocol, IPathListener)
class Piping(Protocol):
    """
    Source to peer, peer to sink.

    The end of the source ends our direction only; that of the peer's direction ends the sink. When
    both have ended, the stream is complete as soon as the other side's system has acknowledged
    everything. If this process dies before, the peer sees a broken stream.

    The end of a source without data is held back as a receipt, see
    :class:`rdv._stdio.own_end.OwnEnd`; if the sink fails, the peer sees a broken stream instead.

    With the first byte that passes once the choice of the path is final, everything that the kernel
    can do alone is left to it: see :mod:`rdv._flows.kernel.shortcut`.

    :param interactive: whether the source is a person: it then also counts as ended when the peer
        has ended.
    :param splicer: None if the kernel does not support this.
    :param moved: called when the connection's path changes.
    :ivar done: fires with None when both directions ended cleanly; errbacks with
        :class:`StreamBroken`. Cancelling it resets the connection.
    :ivar shortcut: None as long as all data goes through the connection.
    """

    def __init__(
        self,
        clock: IReactorTime,
        source: Source,
        sink: Sink,
        *,
        interactive: bool = False,
        splicer: Splicer | None = None,
        moved: Callable[[], object] = lambda: None,
    ) -> None:
        self._clock = clock
        self._source = source
        self._sink = sink
        self._interactive = interactive
        self._splicer = splicer
        self._moved = moved
        self.shortcut: Shortcut | None = None
        self._next_turn: IDelayedCall | None = None
        self._source_ended = False
        self._all_written = False
        self._peer_ended = False
        self._reader_left: IDelayedCall | None = None
        self._closing = False
        self._next_look: IDelayedCall | None = None
        self._own_end = OwnEnd(
            clock, lambda: self.received, lambda: not has_room(sink.fd), self._end_writing
        )
        self.done: Deferred[None] = Deferred(lambda _: self._break("interrupted"))
        self._written = 0
        self._read = 0

    def connectionMade(self) -> None:
        """Start both directions."""
        self._connection.break_on_exit(True)
        self._sink.done.addCallbacks(lambda _: self._all_taken(), self._sink_failed)
        self._sink.start(self._connection)
        self._source.start(self, self._source_done)

    def path_changed(self) -> None:
        self._moved()

    @property
    def _connection(self) -> Connection:
        assert isinstance(self.transport, Connection)
        return self.transport

    @property
    def sent(self) -> int:
        """Bytes given to the connection."""
        return self._written + (0 if self.shortcut is None else self.shortcut.sent)

    @property
    def delivered(self) -> int:
        """
        Those of them that the other side's system has acknowledged, if ours reports it. While a
        stream moves, some may be in flight on the path that it leaves.
        """
        transport = self._connection.transport
        paths = transport.carriers() if isinstance(transport, SecureTransport) else [transport]
        return max(0, self.sent - sum(undelivered(path) or 0 for path in paths))

    @property
    def received(self) -> int:
        """Bytes that came from the peer."""
        return self._read + (0 if self.shortcut is None else self.shortcut.received)

    # The consumer that the source sees.

    def write(self, data: bytes) -> None:
        """Send data from the source."""
        self._written += len(data)
        self._connection.write(data)
        self._shorten()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        self._connection.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._connection.unregisterProducer()

    def _source_done(self, error: OSError | None = None) -> None:
        if error is not None:
            self._break(f"cannot read the data to send: {(error.strerror or str(error)).lower()}")
            return
        self._source_ended = True
        # If a person ends the input, the peer is notified immediately, even without any data.
        empty = not self.sent and (self._peer_ended or not self._interactive)
        self._own_end.source_ended(empty=empty, waits=not self._peer_ended)

    def _end_writing(self) -> None:
        if not self._closing:
            self._connection.loseWriteConnection()

    # What comes from the peer.

    def dataReceived(self, data: bytes) -> None:
        self._read += len(data)
        if self._reader_left is not None:
            self._break(_CANNOT_WRITE + "broken pipe")
            return
        self._sink.write(data)
        self._shorten()

    def readConnectionLost(self) -> None:
        self._peer_ended = True
        self._own_end.stop()
        if self.shortcut is not None:
            self.shortcut.stop_receiving()
        self._sink.finish()
        if self._reader_left is not None:  # it has read everything
            self._reader_left.cancel()
            self._own_end.receipt()
        elif self._connection.is_secure and not self._sink.done.called:
            self._connection.pauseProducing()  # delays DONE until the sink has everything
        if self._interactive and not self._source_ended:
            self._source.stop()
            self._source_done()
        self._look()

    def _all_taken(self) -> None:
        if self._connection.is_secure and not self._closing:
            self._connection.resumeProducing()
        self._own_end.receipt()

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: all our data, and our end, is in the kernel."""
        self._all_written = True
        self._look()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """See :class:`IProtocol`: without a failure, only after everything is complete."""
        if not self._is_complete(reason):
            self._break(break_text(reason, relayed=self._connection.is_relay))
            return
        self._closing = True
        self._stop_looking()
        self._leave()
        self._sink.done.addCallback(lambda _: self._finish())

    def _is_complete(self, reason: Failure | None = None) -> bool:
        """Whether neither side needs the connection any more; the sink may still be writing."""
        if self._connection.is_secure:
            return reason is not None and reason.check(ConnectionDone) is not None
        # If we have sent nothing, the peer does not miss our end.
        return self._closing or (self._peer_ended and self._source_ended and not self.sent)

    def _shorten(self) -> None:
        if self._splicer is not None and self._connection.final_transport is not None:
            splicer, self._splicer = self._splicer, None
            # Not now, while the transport is in the middle of something.
            self._next_turn = self._clock.callLater(0, self._take_shortcut, splicer)

    def _take_shortcut(self, splicer: Splicer) -> None:
        from rdv._flows.kernel.shortcut import Shortcut  # Linux only

        self._next_turn = None
        connection = self._connection
        shortcut = self.shortcut = Shortcut.past(splicer, connection.final_transport)
        if shortcut is not None:
            if not self._source_ended:
                shortcut.send(self._source, self, self._source_done)
            if not self._peer_ended and self._reader_left is None:
                shortcut.receive(self._sink, connection)

    def _leave(self) -> None:
        """Stop using the connection's socket: it is lost, or is about to be."""
        self._splicer = None
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self.shortcut is not None:
            self.shortcut.close()

    def _look(self) -> None:
        """
        Check how much the kernel has delivered, and whether the peer is still there: after the
        peer's end, reading does not show that any more.
        """
        self._stop_looking()
        if not self._peer_ended or self.done.called:
            return
        left, secure = undelivered(self._connection.transport), self._connection.is_secure
        if left is None and self._is_complete():
            self._connection.abortConnection()
        elif left is None:
            self._break("the peer disconnected before it had received everything")
        elif left or not self._all_written or secure:  # a secured stream closes itself, after DONE
            pause = _NEARLY_DONE if self._all_written and not secure else _STILL_SENDING
            self._next_look = self._clock.callLater(pause, self._look)
        else:
            self._closing = True
            self._connection.break_on_exit(False)
            self._connection.loseConnection()

    def _stop_looking(self) -> None:
        if self._next_look is not None and self._next_look.active():
            self._next_look.cancel()

    def _finish(self) -> None:
        if not self.done.called:
            self.done.callback(None)

    def _sink_failed(self, failure: Failure) -> None:
        reason = getattr(failure.value, "strerror", None) or failure.getErrorMessage()
        text = _CANNOT_WRITE + reason.lower()
        if not failure.check(ReaderLeft):
            self._break(text)
            return
        self._own_end.stop()
        self._reader_left = self._clock.callLater(_END_COMES, self._break, text)
        if self.shortcut is not None:
            self.shortcut.stop_receiving()
        self._connection.resumeProducing()

    def _break(self, reason: str) -> None:
        if self.done.called:
            return
        self._stop_looking()
        self._leave()
        self._own_end.stop()
        if self._reader_left is not None and self._reader_left.active():
            self._reader_left.cancel()
        self._source.stop()
        self._sink.stop()
        self._connection.abortConnection()
        self.done.errback(StreamBroken(f"the stream broke: {reason}"))
