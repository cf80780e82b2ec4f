"""
Descriptors such as stdin and stdout as sources and sinks.

Each is moved by the means that fits what it is: the reactor cannot watch a regular file, and a
terminal must not be made non-blocking, as it is shared with the shell.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable
from typing import Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPullProducer, IPushProducer, IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = [
    "Consumer",
    "Ended",
    "FileSource",
    "Sink",
    "Source",
    "WatchedSource",
    "has_room",
]

_CHUNK = 1 << 16
_SHORTER = "the file has become shorter"

#: Told that a source has ended; with the error, when it could not be read to its end.
Ended: TypeAlias = Callable[[OSError | None], object]


class Consumer(Protocol):
    """Where a source writes to: the part of a transport that it needs."""

    def write(self, data: bytes) -> None: ...
    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...


class Source(Protocol):
    """
    Where bytes come from. Once it is stopped, somebody else may read its descriptor; it can be
    started again.

    :ivar fd: the descriptor.
    """

    fd: int

    def start(self, consumer: Consumer, ended: Ended) -> None:
        """Write all there is to ``consumer``, then call ``ended``."""

    def stop(self) -> None:
        """Produce no more, and do not call ``ended`` either."""


class Sink(Protocol):
    """
    Where bytes go to.

    :ivar fd: the descriptor.
    :ivar done: fires when everything is written after :meth:`finish`; errbacks with the OSError
        when writing fails, a :class:`rdv._flows.sinks.ReaderLeft` if nothing is lost by that.
    """

    fd: int
    done: Deferred[None]

    def start(self, producer: object) -> None:
        """Steer ``producer``, which is what :meth:`write` is called for, by back-pressure."""

    def write(self, data: bytes) -> None:
        """Write, now or when there is room."""

    def release(self) -> None:
        """Steer the producer no more."""

    def flush(self, written: Callable[[], object]) -> None:
        """
        When it has been released, call ``written`` as soon as it has nothing left to write. From
        then on somebody else may write to the descriptor.
        """

    def fail(self, error: OSError) -> None:
        """Somebody else has not been able to write."""

    def finish(self) -> None:
        """Nothing more comes: whoever reads the other end of a pipe shall see its end."""

    def stop(self) -> None:
        """Forget what is not yet written."""


def has_room(fd: int) -> bool:
    """Whether something could be written to a descriptor now. A pipe without a reader has room."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


@implementer(IPullProducer)
class FileSource:
    """
    Reads a file, or /dev/null, whenever the consumer has room.

    A file that is shorter than what was read of it is an error: the kernel may have sent zeros in
    the place of what was cut off (sendfile(2)).
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
            data = os.read(self.fd, _CHUNK)
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
        # Those of /proc have more than their size.
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
    Reads a pipe or socket when the reactor says that there is something.

    The descriptor stays as it is, blocking or not: one read after such a notice does not block.
    """

    #: Bytes that are read at most at a time.
    CHUNK = _CHUNK

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
        What there is.

        :raises BlockingIOError: when that is nothing.
        """
        return os.read(self.fd, _CHUNK)

    def doRead(self) -> None:
        if self._consumer is None:  # it is somebody else's turn to read
            return
        try:
            data = self.read()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # which is a terminal that has hung up
                self._end(error)
                return
            data = b""
        if data:
            self._consumer.write(data)
        else:
            self._end(None)

    def connectionLost(self, reason: Failure) -> None:
        """The writers of a pipe are gone, and it is empty."""
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
