"""
Lets the kernel move the data of stdin and stdout, which a transport has copied so far. Linux only.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from rdv._flows.flush import Flush
from rdv._flows.kernel.descriptor import AlwaysWritable, Descriptor
from rdv._flows.kernel.epoll import EPOLLERR, EPOLLOUT
from rdv._flows.kernel.pipes import enlarge
from rdv._flows.kernel.splice import Splice
from rdv._flows.kernel.takeover import Splicer, is_plain
from rdv._flows.sinks import ReaderLeft, Sink
from rdv._flows.sources import Consumer, Ended, Source
from rdv._system.tcp_info import is_closed

__all__ = ["Download", "FileUpload", "Shortcut", "Upload"]

#: Bytes that one sendfile moves at most.
_PIECE = 1 << 20
#: How many times a pipe must be full before it is enlarged.
_TIMES_FULL = 8


class Shortcut:
    """
    Shared by the two directions of a stream: a transport's socket in a watcher.

    For all other code, the transport stays what it is: it ends writing, and it reports the end of
    reading, and a loss. A direction with a terminal continues to use it.

    Create it with :meth:`past`.
    """

    def __init__(self, splicer: Splicer, transport: Connection, socket: Descriptor) -> None:
        self._splicer = splicer
        self._transport = transport
        self._socket = socket
        self._upload: Upload | FileUpload | None = None
        self._download: Download | None = None

    @classmethod
    def past(cls, splicer: Splicer, transport: object) -> Shortcut | None:
        """None if the transport must continue to move the bytes, as with TLS."""
        if not is_plain(transport):
            return None
        socket = splicer.descriptor_of(transport)
        try:
            socket.want(0)
        except OSError:  # no descriptor left for an epoll
            socket.forget()
            return None
        return cls(splicer, transport, socket)

    @property
    def sent(self) -> int:
        """Bytes that the kernel has moved to the socket."""
        return 0 if self._upload is None else self._upload.count

    @property
    def received(self) -> int:
        """Bytes that the kernel has moved from the socket."""
        return 0 if self._download is None else self._download.count

    def send(self, source: Source, consumer: Consumer, ended: Ended) -> None:
        """Take over from a source that has been started with ``consumer`` and ``ended``."""
        mode = os.fstat(source.fd).st_mode
        if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
            self._upload = FileUpload(source, self._transport, self._socket, consumer, ended)
        elif stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            with suppress(OSError):  # then the source continues as before
                self._upload = Upload(self._splicer, source, self._transport, self._socket, ended)

    def receive(self, sink: Sink, producer: IPushProducer) -> None:
        """Take over from a sink that has been started with ``producer``."""
        if not os.isatty(sink.fd):
            with suppress(OSError):  # then the sink continues as before
                self._download = Download(self._splicer, sink, self._transport, self._socket)
        if self._download is not None:
            self._download.begin(producer)

    def stop_receiving(self) -> None:
        """Stop receiving: the peer has ended, or the reader of the sink has left."""
        if self._download is not None:
            self._download.stop()

    def close(self) -> None:
        """Move nothing more, and leave the socket alone."""
        self._socket.forget()
        self.stop_receiving()
        if self._upload is not None:
            self._upload.stop()


class Upload:
    """
    Takes over from a source that is a pipe or a socket.

    :param source: one that has been started.
    :param transport: gets the source's data, through ``socket``.
    :param ended: the callback with which the source was started.
    :raises OSError: when the source cannot be watched; it then continues as before.
    """

    def __init__(
        self,
        splicer: Splicer,
        source: Source,
        transport: Connection,
        socket: Descriptor,
        ended: Ended,
    ) -> None:
        self._splicer = splicer
        self._socket = socket
        self._ended = ended
        self._splice: Splice | None = None
        self._source = Descriptor(splicer.watcher, source.fd, self._finish, directions=1)
        self._source.want(0)
        enlarge(source.fd)  # a pipe of the usual 64 KiB takes twice the work
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
        self._source.forget()

    def _begin(self) -> None:
        self._splice = self._splicer.splice(self._source, self._socket, self._finish)

    def _finish(self, error: OSError | None = None) -> None:
        self.stop()
        self._ended(error)


class FileUpload:
    """
    Takes over from a source that is a file. When ``sendfile`` can send no more, the source is
    started again: it detects the end of the file, or the read error, or reads data that can only be
    read.

    :param source: one that has been started with ``consumer`` and ``ended``.
    :param transport: gets the source's data, through ``socket``.
    :ivar count: bytes moved.
    """

    def __init__(
        self,
        source: Source,
        transport: Connection,
        socket: Descriptor,
        consumer: Consumer,
        ended: Ended,
    ) -> None:
        self._source = source
        self._transport = transport
        self._socket = socket
        self._consumer = consumer
        self._ended = ended
        self.count = 0
        source.stop()
        self._flush = Flush(transport, self._begin)

    def stop(self) -> None:
        """Move nothing more."""
        self._flush.cancel()
        if self._socket.writer is self:
            self._socket.writer = None
            self._socket.want(EPOLLOUT, False)

    def _begin(self) -> None:
        self._socket.writer = self
        self._socket.want(EPOLLOUT)

    def writable(self) -> None:
        """The socket has room."""
        try:
            size = os.sendfile(self._socket.fd, self._source.fd, None, _PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            if is_closed(self._transport.getHandle()) is not False:
                self._socket.fail(error)
                return
            size = 0
        self.count += size
        if not size:
            self.stop()
            self._source.start(self._consumer, self._ended)


class Download:
    """
    Writes to the descriptor of a sink. The sink itself gets the data that still arrives through the
    transport, and is notified of failures.

    :param sink: one that has been started.
    :param transport: the origin of the data, through ``socket``. It reports the end.
    :raises OSError: when the sink cannot be watched; it then continues as before.
    """

    def __init__(
        self, splicer: Splicer, sink: Sink, transport: Connection, socket: Descriptor
    ) -> None:
        self._splicer = splicer
        self._sink = sink
        self._transport = transport
        self._socket = socket
        self._splice: Splice | None = None
        self._stopped = False
        self._call: IDelayedCall | None = None
        mode = os.fstat(sink.fd).st_mode
        kind: type[Descriptor] = AlwaysWritable
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            kind = _Pipe if stat.S_ISFIFO(mode) else Descriptor
        self._written = kind(splicer.watcher, sink.fd, self._fail, directions=1)
        self._written.want(0)

    @property
    def count(self) -> int:
        """Bytes moved."""
        return 0 if self._splice is None else self._splice.count

    def begin(self, producer: IPushProducer) -> None:
        """Let the sink write what the transport has received, then take over."""
        self._sink.release()
        producer.resumeProducing()  # if the sink had paused it, it may hold data
        if not self._stopped:
            self._transport.pauseProducing()
            # An event that the reactor has already found in this turn may still be delivered.
            self._call = self._splicer.reactor.callLater(0, self._wait)

    def stop(self) -> None:
        """Move nothing more."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._splice is not None:
            self._splice.stop()
        self._written.forget()

    def _wait(self) -> None:
        self._call = None
        self._sink.flush(self._take_over)

    def _take_over(self) -> None:
        self._splice = self._splicer.splice(self._socket, self._written, self._finish)

    def _finish(self) -> None:
        self.stop()
        self._transport.readConnectionLost(Failure(CONNECTION_DONE))

    def _fail(self, error: OSError) -> None:
        self.stop()
        self._sink.fail(error)


class _Pipe(Descriptor):
    """
    A pipe as a sink. It is enlarged while its reader reads, which halves the work. Bytes that stay
    in a pipe unread are lost without an error, so for a reader that never begins, it is not
    enlarged.
    """

    _full = 0

    def want(self, events: int, wanted: bool = True) -> None:
        if wanted and events & EPOLLOUT:
            self._full += 1
            if self._full == _TIMES_FULL:
                enlarge(self.fd)
        super().want(events, wanted)

    def _look_at_error(self, events: int) -> None:
        # If any data were held, this would be waiting for room (EPOLLOUT): none is lost.
        if events & EPOLLERR and not self._events & EPOLLOUT:
            self.fail(ReaderLeft())
        else:
            super()._look_at_error(events)
