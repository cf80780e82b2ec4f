"""
The secure channel as a transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

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
from rdv._transport.ending import EndingTransport
from rdv._transport.path_end import CUT_OFF, NO_PROOF, Joining, PathEnd, PeerNotProven
from rdv._transport.paths import Paths
from rdv.wire import Role

__all__ = ["Joining", "PeerNotProven", "SecureTransport"]

#: Seconds for the peer to show that its handshake message was not a recording.
_PROOF_WITHIN = 10.0
#: Seconds that a side that closes waits for the peer's end, once the peer has everything.
_END_WITHIN = 5.0
_NO_END = "the peer did not end the secured stream"


@implementer(ITCPTransport, IConsumer, IPushProducer)
class SecureTransport(EndingTransport):
    """
    A secured stream, as a transport to the protocol above.

    TCP is never half-closed: ``loseWriteConnection`` sends END, and the peer's END is reported as
    ``readConnectionLost``, or closes the connection when the protocol does not support half-close.
    ``connectionLost`` gets ``ConnectionDone`` when both directions have ended and both applications
    have received everything. In any other case the stream is broken: ``ConnectionLost``.

    It reads by itself until the peer is known to be live, even while it is paused; the protocol may
    then still get the data of one read.

    The stream may move to a path that is given to :meth:`join`: that path takes over, each
    direction moves separately, and the first path is closed when nothing on it is outstanding.
    ``getPeer``, ``getHost`` and the TCP options are those of the path on which we write. All other
    calls work as if there were one path.

    :param early: data that has already arrived on the path. It is delivered in the next turn, or
        with the next data.
    :ivar path: the one on which the stream began. Its session is that of the stream.
    :ivar first: the protocol for the transport below, on that path.
    :ivar stream: what has been sent and received on each path.
    :ivar carriers: lists the connections on which our data may be in flight.
    :ivar on_ready: called when the peer is known to be live; for a dialer only.
    :ivar on_over: called once, when no path may take over any more although none has: both
        directions have ended, we are closing, or the stream is over, broken or aborted.
    """

    on_ready: Callable[[], object] = staticmethod(lambda: None)
    on_over: Callable[[], object] = staticmethod(lambda: None)

    def __init__(
        self,
        clock: IReactorTime,
        path: SecurePath,
        protocol: IProtocol,
        early: bytes = b"",
    ) -> None:
        super().__init__(protocol)
        self._paths = Paths(clock, self, path, early)
        self.carriers = self._paths.carriers
        self.path, self.first, self.stream = path, self._paths.first, self._paths.stream
        self._clock = clock
        self._paused = False
        self._finished = self._telling = False
        self._may_move = path.order.moves
        self._loss: Failure | None = None
        self._waiting: IDelayedCall | None = None

    # Another path.

    @property
    def can_move(self) -> bool:
        """
        Whether a path may still join: both sides can move, none has taken over, the stream is not
        over, and some of the remaining data is not to be discarded. A dialer must have received the
        peer's READY first (:attr:`on_ready`).
        """
        closing = self.disconnecting and self._write_ended
        return self._may_move and self._takes and self.stream.can_move and not closing

    def join(self, path: SecurePath, early: bytes = b"") -> Joining:
        """
        See :meth:`Paths.join`.

        :param path: one that joins :attr:`path`.
        :raises RuntimeError: also if no path can join: not :attr:`can_move`, or READY has not
            arrived on the first path.
        """
        if not (self.can_move and self.path.ready):
            raise RuntimeError("no path can join the stream now")
        return self._paths.join(self, path, early)

    def expect_move(self) -> None:
        """
        A path may join soon. Until it has, or until :meth:`stay`, the kernel accepts little data in
        advance.
        """
        if self.can_move:
            self._paths.limit()

    def stay(self) -> None:
        """No path will join any more: the kernel may accept as much data as usual."""
        self._paths.unlimit()

    def _take_over(self, end: Joining) -> None:
        self._may_move = False
        last_words = self._paths.take_over(end)
        self._write_to(self._paths.writing.transport, last_words)
        self._paths.give_up()
        end.has_taken_over()

    def _follow(self) -> None:
        """Act on the messages so far on all paths, and on lost paths."""
        if self._may_move and not self.can_move:
            self._move_no_more()
        if not self._takes:
            return
        if self.stream.broken:
            self._fail(self._loss or Failure(ConnectionLost(CUT_OFF)))
        elif self.stream.over:
            self._finished = True
            self._paths.close()
        else:
            self._paths.follow(paused=self._paused)

    def _move_no_more(self) -> None:
        self._may_move = False
        self._paths.unlimit()
        self.on_over()
        # The peer, a dialer, may have sent HERE already. An acceptor that is closing accepts that.
        if self._paths.role is Role.DIALER or not self.stream.can_move:
            self._paths.give_up()

    # What happens on the paths; see PathOwner.

    def path_begun(self, end: PathEnd) -> None:
        """See :class:`PathOwner`: an acceptor sends READY."""
        self._paths.begin(end)
        if self._paths.role is Role.ACCEPTOR:
            end.say(Signal.READY)
        elif end is self.first:
            self._limit(_PROOF_WITHIN, PeerNotProven(NO_PROOF))
        if end is self.first:
            self.transport = end.transport
            self.protocol.makeConnection(cast(ITransport, self))

    def path_reads(self, end: PathEnd) -> bool:
        return self._takes and not self._telling and self.stream.reads(end.path.order)

    @property
    def _takes(self) -> bool:
        """Whether received data is processed: not after the last DONE, nor after an abort."""
        return self.connected and not self._finished

    def path_received(self, plain: list[memoryview]) -> None:
        data = b"".join(plain)
        plain.clear()
        if data and self._takes and not self.disconnecting:
            self._tell(self.protocol.dataReceived, data)

    def _tell(self, told: Callable[..., object], *arguments: object) -> None:
        """
        Call the protocol. Nothing else is processed meanwhile. If the protocol raises an exception,
        all paths are aborted: the reactor would only close the one that it has just read from.
        """
        self._telling = True
        try:
            told(*arguments)
        except BaseException:
            self._fail(Failure())
            raise
        finally:
            self._telling = False

    def path_signalled(self, end: PathEnd, signal: Signal) -> None:
        if isinstance(end, Joining) and signal in (Signal.READY, Signal.HERE):
            self._take_over(end)
        elif signal is Signal.READY:
            self._stop_waiting()
            self.on_ready()
        elif signal is Signal.END:
            if not self.disconnecting:
                if IHalfCloseableProtocol.providedBy(self.protocol):
                    self._tell(self.protocol.readConnectionLost)
                else:
                    self.loseConnection()
            self._confirm_end()
        elif signal is Signal.DONE and self.disconnecting and not self.stream.over:
            self._limit(_END_WITHIN, ConnectionLost(_NO_END))
        self._follow()

    def path_forged(self, end: PathEnd, reason: Failure) -> None:
        """Breaks the stream, unless the path is joining and its peer is not proved to be live."""
        if isinstance(end, Joining) and not end.path.ready:
            end.abort()
            self.path_lost(end, reason)
        elif self._takes:
            self._fail(reason)

    def path_lost(self, end: PathEnd, reason: Failure) -> None:
        """Breaks the stream only if something on that path is outstanding."""
        self._loss = self._paths.lose(end, reason) or self._loss
        if self.connected and self._finished and self._paths.all_lost:
            self._lose(Failure(ConnectionDone()) if self.stream.over else reason)
        self._follow()

    def _confirm_end(self) -> None:
        """Send DONE if the peer has ended, unless the protocol has yet to take the data."""
        taken = self.disconnecting or not (self._paused or self._telling)
        if self._takes and taken and self.stream.owes_done:
            self._paths.reading.say(Signal.DONE)

    def _limit(self, seconds: float, lacking: ConnectionLost) -> None:
        if self._waiting is None:
            self._waiting = self._clock.callLater(seconds, self._fail, Failure(lacking))

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        self._waiting = None

    def _fail(self, reason: Failure) -> None:
        self._finish()
        self._lose(reason)

    def _finish(self) -> None:
        """Send and process nothing more, and abort all paths."""
        self._finished = True
        self._follow()  # so that no path joins now
        self._paths.abort()

    def _lose(self, reason: Failure) -> None:
        self._stop_waiting()
        super()._lose(reason)

    # The transport, to the protocol above.

    def write(self, data: bytes) -> None:
        if self.connected and not self._write_ended and data:
            # In one call: a producer that is paused in between may end the stream.
            self.transport.writeSequence(self._paths.writing.path.seal(data))

    def _send_end(self) -> None:
        self._paths.writing.say(Signal.END)
        self._follow()

    def loseConnection(self) -> None:
        """
        End our direction, but not before a registered producer has finished, and close when the
        peer has everything. Data that it still sends is discarded; it then has five seconds for its
        own end.
        """
        self.disconnecting = True
        if not self.connected:
            return
        if self._producer is None:
            self._end()
        self.resumeProducing()
        if self.stream.delivered and not self.stream.over:
            self._limit(_END_WITHIN, ConnectionLost(_NO_END))

    def abortConnection(self) -> None:
        """See :class:`ITCPTransport`: the peer sees a broken stream."""
        self.disconnecting = self._write_ended = True
        self._finish()

    def break_on_exit(self, enabled: bool) -> None:
        """See :class:`rdv.client.Connection`."""
        self._paths.break_on_exit(enabled)

    def pauseProducing(self) -> None:
        """Stop reading; at most the data of one read of the transport below still arrives."""
        if not self.disconnecting:  # otherwise data is discarded, not held back
            self._paused = True
            self._follow()

    def resumeProducing(self) -> None:
        """Continue reading. If the protocol was notified of the end before, it has everything."""
        self._paused = False
        self._confirm_end()
        self._follow()
