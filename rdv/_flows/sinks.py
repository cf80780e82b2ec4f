"""
Descriptors such as stdout as sinks. Each is written by the method for its type.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

from rdv._flows.flush import Flush
from rdv._flows.sources import is_watchable

__all__ = ["FileSink", "ReaderLeft", "Sink", "WatchedSink", "open_sink"]


class ReaderLeft(BrokenPipeError):
    """The reader of a pipe has gone while there was nothing left to write."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, os.strerror(errno.EPIPE))


class Sink(Protocol):
    """
    A destination of bytes.

    :ivar fd: the descriptor.
    :ivar done: fires when everything is written after :meth:`finish`; errbacks with the OSError
        when writing fails, or with a :class:`ReaderLeft` if no data is lost by that.
    """

    fd: int
    done: Deferred[None]

    def start(self, producer: object) -> None:
        """Apply back-pressure to ``producer``, whose data is passed to :meth:`write`."""

    def write(self, data: bytes) -> None:
        """Write, now or when there is room."""

    def release(self) -> None:
        """Stop controlling the producer."""

    def flush(self, written: Callable[[], object]) -> None:
        """
        After a release, call ``written`` as soon as nothing is left to write. From then on, other
        code may write to the descriptor.
        """

    def fail(self, error: OSError) -> None:
        """Other code has failed to write."""

    def finish(self) -> None:
        """No more data arrives: the reader at the other end of a pipe must see its end."""

    def stop(self) -> None:
        """Drop unwritten data."""


class FileSink:
    """A :class:`Sink` that writes to a file or a terminal, immediately."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.done: Deferred[None] = Deferred()

    def start(self, producer: object) -> None:
        """See :class:`Sink`: it needs no back-pressure."""

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and not self.done.called:
                view = view[os.write(self.fd, view) :]
        except OSError:
            self.done.errback(Failure())

    def release(self) -> None:
        """See :class:`Sink`."""

    def flush(self, written: Callable[[], object]) -> None:
        """See :class:`Sink`: it never has anything left."""
        if not self.done.called:
            written()

    def fail(self, error: OSError) -> None:
        if not self.done.called:
            self.done.errback(error)

    def finish(self) -> None:
        if self.done.called:
            return
        with suppress(OSError):  # no descriptor left
            copy = os.dup(self.fd)
            try:
                os.close(copy)  # some network file systems report only now that there was no room
            except OSError:
                self.done.errback(Failure())
                return
        self.done.callback(None)

    def stop(self) -> None:
        """See :class:`Sink`."""


class WatchedSink(FileDescriptor):
    """
    A :class:`Sink` that writes to a pipe or socket when it has room. It makes the descriptor
    non-blocking meanwhile, and restores it afterwards.
    """

    connected = 1

    def __init__(self, reactor: IReactorFDSet, fd: int) -> None:
        super().__init__(reactor)
        self.fd = fd
        self._blocking = os.get_blocking(fd)
        self._stopped = False
        self.done: Deferred[None] = Deferred()

    def start(self, producer: object) -> None:
        os.set_blocking(self.fd, False)
        self.registerProducer(producer, True)  # type: ignore[arg-type]
        mode = fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_ACCMODE
        if stat.S_ISFIFO(os.fstat(self.fd).st_mode) and mode == os.O_WRONLY:
            # A write-only pipe becomes readable only when its reader has gone. One that is open for
            # both (a shell's <>) would be readable because of our own data.
            self.startReading()  # type: ignore[no-untyped-call]

    def fileno(self) -> int:
        return self.fd

    def doRead(self) -> Exception:
        return CONNECTION_LOST

    def writeSomeData(self, data: bytes) -> int | BaseException:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            return error

    def release(self) -> None:
        self.unregisterProducer()

    def flush(self, written: Callable[[], object]) -> None:
        """See :class:`Sink`."""

        def idle() -> None:
            self.stopReading()  # type: ignore[no-untyped-call]
            written()

        Flush(self, idle)

    def fail(self, error: OSError) -> None:
        if self.connected:
            self.connectionLost(Failure(error))

    def finish(self) -> None:
        self.unregisterProducer()
        self.stopReading()  # type: ignore[no-untyped-call]
        self.loseConnection()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        self._stopped = True
        if self.connected:
            self.connectionLost(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure) -> None:
        self.unregisterProducer()  # otherwise Twisted would stop the producer
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        os.set_blocking(self.fd, self._blocking)
        if self._stopped:
            return
        if reason.check(OSError) and not reason.check(ReaderLeft):
            self.done.errback(reason)
        elif len(self.dataBuffer) > self.offset or self._tempDataLen:
            self.done.errback(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
        elif self.disconnecting:
            self._end()
        else:
            self.done.errback(ReaderLeft())

    def _end(self) -> None:
        if not stat.S_ISFIFO(os.fstat(self.fd).st_mode):
            # Closing would not end the stream if stdin is the same socket.
            with socket.socket(fileno=os.dup(self.fd)) as sock, suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
        # Closes a pipe, so that its reader sees the end, and keeps the number from being reused.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fd)
        os.close(null)
        self.done.callback(None)


def open_sink(reactor: IReactorFDSet, fd: int) -> Sink:
    """A sink for a descriptor of any kind."""
    return WatchedSink(reactor, fd) if is_watchable(fd) else FileSink(fd)
