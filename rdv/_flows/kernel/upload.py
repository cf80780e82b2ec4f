"""
From a descriptor such as stdin to a socket, moved by the kernel. Linux only.
"""

from __future__ import annotations

import os

from twisted.internet.tcp import Connection

from rdv._flows.flush import Flush
from rdv._flows.kernel.descriptor import End
from rdv._flows.kernel.epoll import EPOLLOUT
from rdv._flows.kernel.pipes import enlarge
from rdv._flows.kernel.splice import Splice
from rdv._flows.kernel.takeover import Splicer
from rdv._flows.sources import Consumer, Ended, Source
from rdv._system.tcp_info import is_closed

__all__ = ["FileUpload", "Upload"]

#: Bytes that one sendfile moves at most.
_PIECE = 1 << 20


class Upload:
    """
    Takes over from a source that is a pipe or a socket.

    :param source: one that has been started.
    :param transport: gets what the source has; its socket is ``end``.
    :param ended: what the source has been started with.
    :raises OSError: when the source cannot be watched; then it goes on as before.
    """

    def __init__(
        self, splicer: Splicer, source: Source, transport: Connection, end: End, ended: Ended
    ) -> None:
        self._splicer = splicer
        self._end = end
        self._ended = ended
        self._splice: Splice | None = None
        self._source_end = End(splicer.watcher, source.fd, self._finish, directions=1)
        self._source_end.want(0)
        enlarge(source.fd)  # a pipe of the usual 64 KiB makes for twice the work
        source.stop()
        self._flush = Flush(transport, self._begin)

    @property
    def count(self) -> int:
        """Bytes moved."""
        return 0 if self._splice is None else self._splice.count

    def stop(self) -> None:
        """Move nothing more."""
        self._flush.cancel()
        if self._splice is not None:
            self._splice.stop()
        self._source_end.forget()

    def _begin(self) -> None:
        splicer = self._splicer
        self._splice = Splice(
            splicer.watcher,
            splicer.pipes,
            splicer.batching,
            self._source_end,
            self._end,
            self._finish,
        )

    def _finish(self, error: OSError | None = None) -> None:
        self.stop()
        self._ended(error)


class FileUpload:
    """
    Takes over from a source that is a file. When no more can be sent the source is started again:
    it finds that the file has ended, or why it cannot be read, or what can only be read.

    :param source: one that has been started with ``consumer`` and ``ended``.
    :param transport: gets what the source has; its socket is ``end``.
    :ivar count: bytes moved.
    """

    def __init__(
        self,
        source: Source,
        transport: Connection,
        end: End,
        consumer: Consumer,
        ended: Ended,
    ) -> None:
        self._source = source
        self._transport = transport
        self._end = end
        self._consumer = consumer
        self._ended = ended
        self.count = 0
        source.stop()
        self._flush = Flush(transport, self._begin)

    def stop(self) -> None:
        """Move nothing more."""
        self._flush.cancel()
        if self._end.to_here is self:
            self._end.to_here = None
            self._end.want(EPOLLOUT, False)

    def _begin(self) -> None:
        self._end.to_here = self
        self._end.want(EPOLLOUT)

    def writable(self) -> None:
        """The socket has room."""
        try:
            size = os.sendfile(self._end.fd, self._source.fd, None, _PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            if is_closed(self._transport.getHandle()) is not False:
                self._end.fail(error)
                return
            size = 0
        self.count += size
        if not size:
            self.stop()
            self._source.start(self._consumer, self._ended)
