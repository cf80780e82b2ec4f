"""
From a socket to a descriptor such as stdout, moved by the kernel. Linux only.
"""

from __future__ import annotations

import os
import stat

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from rdv._flows.kernel.descriptor import End, FileEnd
from rdv._flows.kernel.epoll import EPOLLERR, EPOLLOUT
from rdv._flows.kernel.pipes import enlarge
from rdv._flows.kernel.splice import Splice
from rdv._flows.kernel.takeover import Splicer
from rdv._flows.sinks import ReaderLeft, Sink

__all__ = ["Download"]

#: So often a pipe has been full when it gets larger.
_TIMES_FULL = 8


class Download:
    """
    Writes to the descriptor of a sink. The sink itself gets what still comes through the transport,
    and is told of failures.

    :param sink: one that has been started with ``producer``.
    :param transport: what comes from there; its socket is ``end``. It reports the end.
    :raises OSError: when the sink cannot be watched; then it goes on as before.
    """

    def __init__(
        self,
        splicer: Splicer,
        sink: Sink,
        transport: Connection,
        end: End,
    ) -> None:
        self._splicer = splicer
        self._sink = sink
        self._transport = transport
        self._end = end
        self._splice: Splice | None = None
        self._stopped = False
        self._call: IDelayedCall | None = None
        mode = os.fstat(sink.fd).st_mode
        kind = _PipeEnd if stat.S_ISFIFO(mode) else End if stat.S_ISSOCK(mode) else FileEnd
        self._sink_end = kind(splicer.watcher, sink.fd, self._fail, directions=1)
        self._sink_end.want(0)

    @property
    def count(self) -> int:
        """Bytes moved."""
        return 0 if self._splice is None else self._splice.count

    def begin(self, producer: IPushProducer) -> None:
        """Receive what has come through the transport, then take over."""
        self._sink.release()
        producer.resumeProducing()  # if the sink had paused it, it may hold something
        if not self._stopped:
            self._transport.pauseProducing()
            # What this turn of the reactor has found already may still be read.
            self._call = self._splicer.reactor.callLater(0, self._wait)

    def stop(self) -> None:
        """Move nothing more."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._splice is not None:
            self._splice.stop()
        self._sink_end.forget()

    def _wait(self) -> None:
        self._call = None
        self._sink.flush(self._take_over)

    def _take_over(self) -> None:
        splicer = self._splicer
        self._splice = Splice(
            splicer.watcher,
            splicer.pipes,
            splicer.batching,
            self._end,
            self._sink_end,
            self._finish,
        )

    def _finish(self) -> None:
        self.stop()
        self._transport.readConnectionLost(Failure(CONNECTION_DONE))

    def _fail(self, error: OSError) -> None:
        self.stop()
        self._sink.fail(error)


class _PipeEnd(End):
    """
    A pipe as a sink. While its reader reads, it may as well hold more, which makes for half the
    work. But what it holds may never be read, and nobody is told: a reader that does not begin
    leaves no more in it than in any other pipe.
    """

    _full = 0

    def want(self, events: int, wanted: bool = True) -> None:
        """See :class:`End`."""
        if wanted and events & EPOLLOUT:
            self._full += 1
            if self._full == _TIMES_FULL:
                enlarge(self.fd)
        super().want(events, wanted)

    def _look_at_error(self, events: int) -> None:
        # What is held would wait for room.
        if events & EPOLLERR and not self._events & EPOLLOUT:
            self.fail(ReaderLeft())
        else:
            super()._look_at_error(events)
