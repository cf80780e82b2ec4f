"""
Descriptors such as stdin as sources.

Each is read by the method for its type. The reactor cannot watch a regular file. A terminal is
shared with the shell and other programs, so it must not be made non-blocking. A background process
that reads from it is stopped, and if another process has emptied it in the meantime, the reader
blocks.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IPullProducer,
    IPushProducer,
    IReactorFDSet,
    IReadDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._system.terminal import is_ours

__all__ = [
    "Consumer",
    "Ended",
    "FileSource",
    "Source",
    "TerminalSource",
    "WatchedSource",
    "is_watchable",
    "open_source",
]

#: Bytes per read. More for a file, which always has enough: that saves turns of the reactor.
_CHUNK, _FILE_CHUNK = 1 << 16, 3 << 16
_SHORTER = "the file was truncated"
#: Seconds between two checks whether the terminal is ours again. There is no signal for that: a
#: shell that brings a job to the foreground sends SIGCONT only if the job was stopped.
_PAUSE = 0.5

#: Called when a source has ended, with the error if it could not be read to its end, else None.
Ended: TypeAlias = Callable[[OSError | None], object]


class Consumer(Protocol):
    """The destination of a source: the part of a transport that it needs."""

    def write(self, data: bytes) -> None: ...
    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...


class Source(Protocol):
    """
    An origin of bytes. Once it is stopped, other code may read its descriptor; it can be started
    again.

    :ivar fd: the descriptor.
    """

    fd: int

    def start(self, consumer: Consumer, ended: Ended) -> None:
        """Write everything to ``consumer``, then call ``ended``."""

    def stop(self) -> None:
        """Stop reading, without calling ``ended``."""


@implementer(IPullProducer)
class FileSource:
    """
    Reads a file, or /dev/null, whenever the consumer has room.

    It is an error if the file was truncated to less than what was read of it: the kernel may have
    sent zeros instead of the missing part (sendfile(2)).
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        status = os.fstat(fd)
        self._is_file, self._size = stat.S_ISREG(status.st_mode), status.st_size
        self._begun = self._position()
        self._consumer: Consumer | None = None

    def _position(self) -> int:
        return os.lseek(self.fd, 0, os.SEEK_CUR) if self._is_file else 0

    def start(self, consumer: Consumer, ended: Ended) -> None:
        self._consumer = consumer
        self._ended = ended
        consumer.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if self._consumer is None:
            return
        try:
            data = os.read(self.fd, _FILE_CHUNK)
        except OSError as error:
            self.stop()
            self._ended(error)
            return
        if data:
            self._consumer.write(data)
        else:
            self.stop()
            self._ended(OSError(errno.EIO, _SHORTER) if self._is_shorter() else None)

    def _is_shorter(self) -> bool:
        position, size = self._position(), os.fstat(self.fd).st_size
        # Its size must have shrunk: a file in /proc may have more contents than its size says.
        return size < self._size and position > max(size, self._begun)

    def stopProducing(self) -> None:
        self._consumer = None

    def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.unregisterProducer()


@implementer(IPushProducer, IReadDescriptor)
class WatchedSource:
    """
    Reads a pipe or socket when the reactor reports that it is readable.

    The descriptor stays as it is, blocking or not: one read after such a report does not block.
    """

    def __init__(self, reactor: IReactorFDSet, fd: int) -> None:
        self._reactor = reactor
        self.fd = fd
        self._consumer: Consumer | None = None

    def start(self, consumer: Consumer, ended: Ended) -> None:
        self._consumer = consumer
        self._ended = ended
        consumer.registerProducer(self, True)
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return "stdin"

    def read(self) -> bytes:
        """
        Read available data.

        :raises BlockingIOError: when there is none.
        """
        return os.read(self.fd, _CHUNK)

    def doRead(self) -> None:
        if self._consumer is None:  # stopped: other code reads now
            return
        try:
            data = self.read()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: a terminal that has hung up
                self._end(error)
                return
            data = b""
        if data:
            self._consumer.write(data)
        else:
            self._end(None)

    def connectionLost(self, reason: Failure) -> None:
        """All writers of a pipe have closed it, and it is empty."""
        self._end(None if reason.check(ConnectionDone) else OSError(reason.getErrorMessage()))

    def _end(self, error: OSError | None) -> None:
        if self._consumer is not None:
            self.stop()
            self._ended(error)

    def pauseProducing(self) -> None:
        self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        if self._consumer is not None:
            self._reactor.addReader(self)

    def stopProducing(self) -> None:
        self._consumer = None
        self._reactor.removeReader(self)

    def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._reactor.removeReader(self)
        if consumer is not None:
            consumer.unregisterProducer()


class TerminalSource(WatchedSource):
    """
    Reads a terminal while this process is in the foreground, without ever blocking.

    The descriptor is shared, and so is its blocking mode. The source therefore reads from another
    descriptor of the same terminal.
    """

    def __init__(self, reactor: Any, fd: int) -> None:
        super().__init__(reactor, fd)
        self._clock = reactor
        self._own: int | None = None
        self._next_look: IDelayedCall | None = None

    def start(self, consumer: Consumer, ended: Ended) -> None:
        if self._own is None:
            self._own = _open_again(self.fd)
        super().start(consumer, ended)

    def read(self) -> bytes:
        if not is_ours(self.fd):
            self._wait()
            raise BlockingIOError
        # If it stops being ours at this moment, the read must fail, not stop us by SIGTTIN.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN,))
        try:
            return self._read_now()
        except OSError as error:
            if error.errno == errno.EIO and not is_ours(self.fd):
                self._wait()
                raise BlockingIOError from error
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _read_now(self) -> bytes:
        if self._own is not None:
            return os.read(self._own, _CHUNK)
        if not select.select((self.fd,), (), (), 0)[0]:
            raise BlockingIOError
        return os.read(self.fd, _CHUNK)

    def _wait(self) -> None:
        self.pauseProducing()
        self._next_look = self._clock.callLater(_PAUSE, self.resumeProducing)

    def pauseProducing(self) -> None:
        super().pauseProducing()
        if self._next_look is not None and self._next_look.active():
            self._next_look.cancel()
        self._next_look = None

    def stopProducing(self) -> None:
        super().stopProducing()
        self._let_go()

    def stop(self) -> None:
        super().stop()
        self._let_go()

    def _let_go(self) -> None:
        self.pauseProducing()
        if self._own is not None:
            os.close(self._own)
            self._own = None


def _open_again(fd: int) -> int | None:
    """The same terminal as a separate non-blocking descriptor; None if this is not allowed."""
    try:
        os.tcgetpgrp(fd)
        path = "/dev/tty"  # may be opened by anyone, even after su
    except OSError:  # not our controlling terminal
        path = os.ttyname(fd)
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def open_source(reactor: Any, fd: int) -> Source:
    """A source for a descriptor of any kind."""
    if os.isatty(fd):
        return TerminalSource(reactor, fd)
    return WatchedSource(reactor, fd) if is_watchable(fd) else FileSource(fd)


def is_watchable(fd: int) -> bool:
    """
    Whether it is a pipe or a socket. A reactor could watch a terminal too, but that needs more
    care: :class:`TerminalSource`.
    """
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
