"""
One direction between two descriptors, moved by the kernel. Linux only.

Small pieces are read into a buffer and written from there: two system calls, and little to copy. A
source that fills that buffer gets a pipe: ``splice`` moves the kernel's pages from the source to
the pipe and on to the sink, and copies nothing. When the pieces become small, the flow returns to
the buffer; permanently if a descriptor has no ``splice`` (a file opened for append).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from rdv._flows.kernel.batching import Batching
from rdv._flows.kernel.descriptor import Descriptor
from rdv._flows.kernel.epoll import EPOLLIN, EPOLLOUT, Watcher
from rdv._flows.kernel.pipes import Pipe, Pipes
from rdv._flows.rate import Limit

__all__ = ["Splice"]

#: All flows share one buffer: nothing stays in it.
_BUFFER = bytearray(1 << 16)
_VIEW = memoryview(_BUFFER)
#: Bytes that one splice moves at most.
_PIECE = 1 << 20
#: Bytes of bulk data after which the source's socket is batched: the last bytes of a message, even
#: of a large one, must not be delayed. Doubled each time the source pauses.
_LONG_RUN = 1 << 24
#: If fewer bytes than this arrive between two sweeps, the source has paused.
_SWEPT = 1 << 16
#: A splice of fewer bytes than this costs more than a copy. After this many such splices in a row,
#: the flow copies again.
_SMALL, _PATIENCE = 1 << 13, 8

_FLAGS: int = getattr(os, "SPLICE_F_NONBLOCK", 0) | getattr(os, "SPLICE_F_MOVE", 0)


class Splice:
    """
    Moves data from ``source`` to ``sink``, until the source ends.

    :param ended: called when the source has ended and everything has been written.
    :param count: bytes moved before.
    :param limit: limits the rate, the total size, or both. While its pieces are smaller than the
        buffer, no pipe is used.
    :ivar count: bytes moved.
    :ivar active: when the last bytes were moved, in seconds of the reactor's clock.
    """

    __slots__ = (
        "_batching",
        "_buffer",
        "_bulk",
        "_copies",
        "_ended",
        "_held",
        "_in_pipe",
        "_limit",
        "_long_run",
        "_piece",
        "_pipe",
        "_pipes",
        "_read_into",
        "_resting",
        "_run",
        "_seen",
        "_sink",
        "_small",
        "_source",
        "_unread",
        "_watcher",
        "_write",
        "active",
        "count",
    )

    def __init__(
        self,
        watcher: Watcher,
        pipes: Pipes,
        batching: Batching,
        source: Descriptor,
        sink: Descriptor,
        ended: Callable[[], object],
        count: int = 0,
        limit: Limit | None = None,
    ) -> None:
        self._watcher = watcher
        self._pipes, self._batching = pipes, batching
        self._source, self._sink = source, sink
        self._ended = ended
        self._limit = limit
        self._piece, self._resting = _PIECE, False
        self._buffer: bytearray | memoryview = _BUFFER
        self._bulk = self._copies = False
        self._small = self._run = self._seen = self._unread = self._in_pipe = 0
        self._long_run = _LONG_RUN
        self._held = b""
        self._pipe: Pipe | None = None
        self.count = count
        self.active = watcher.now
        self._read_into = source.read_into
        self._write = sink.write
        source.reader = self
        sink.writer = self
        source.want(EPOLLIN)

    def readable(self, events: int = EPOLLIN) -> None:
        if self._limit is not None:  # its piece changes: both directions share a quota, for example
            self._piece = min(self._limit.piece, _PIECE)
            self._buffer = _VIEW[: self._piece]
        if self._bulk and self._spliced():
            return
        try:
            size = self._read_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._source.fail(error)
            return
        if not size:
            self.stop()
            self._ended()
            return
        self.count += size
        self.active = self._watcher.now
        try:
            written = self._write(_VIEW[:size])
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._sink.fail(error)
            return
        if written < size:
            self._held = bytes(_VIEW[written:size])
            self._block()
        if size == len(_BUFFER):
            self._bulk = not self._copies
        self._pay(size)

    def writable(self) -> None:
        """The sink has room."""
        if self._pipe is not None:
            self._from_pipe(self._pipe)
            return
        try:
            written = self._write(self._held) if self._held else 0
        except BlockingIOError:
            return
        except OSError as error:
            self._sink.fail(error)
            return
        if written:
            self._held = self._held[written:]
            self.active = self._watcher.now
            if not self._held:
                self._unblock()

    def stop(self) -> None:
        """Move nothing more, and drop what is held."""
        if self._source.reader is None:
            return
        self._source.reader = self._sink.writer = None
        self._source.want(EPOLLIN, False)
        self._sink.want(EPOLLOUT, False)
        self._held = b""
        self._batching.forget(self)
        if self._limit is not None:
            self._limit.stop()
        if self._pipe is not None:
            self._pipes.discard(self._pipe)
            self._pipe = None

    def _spliced(self) -> bool:
        """
        Move a piece through a pipe.

        :return: False when nothing was moved and the source must be read instead. It need not have
            ended: an urgent byte stops a splice, too.
        """
        pipe = self._pipes.take()
        if pipe is None:
            return False
        most = min(self._piece, self._watcher.share)
        try:
            size = os.splice(self._source.fd, pipe.write_end, most, None, None, _FLAGS)
        except BlockingIOError:
            size = 0
        except OSError as error:
            self._pipes.give_back(pipe)
            if error.errno == errno.EINVAL:
                self._copies = True
                self._calm_down()
                return False
            self._source.fail(error)  # now, because the next read would find an end
            return True
        if not size:
            self._pipes.give_back(pipe)
            return False
        self.count += size
        self.active = self._watcher.now
        self._in_pipe = size
        self._from_pipe(pipe)
        self._adapt(size)
        self._pay(size)
        return True

    def _adapt(self, size: int) -> None:
        """A piece of that size has been spliced."""
        if self._source.reader is not self:  # the sink has failed, and this has stopped
            return
        self._run += size
        if size >= _SMALL:
            self._small = 0
            begins = self._run - size < self._long_run <= self._run
            if begins and self._piece == _PIECE and self._source.socket is not None:
                self._batching.begin(self, self._source.socket)
        else:
            self._small += 1
            if self._small == _PATIENCE:
                self._calm_down()

    def sweep(self) -> None:
        if self._pipe is not None or self._held or self._resting:  # the source has not paused
            self._unread = 0
        elif self.count != self._seen:
            self._unread = self._source.unread()
        else:
            before, self._unread = self._unread, self._source.unread()
            if self._unread - before < _SWEPT:
                # The source has paused: it may be waiting for a response to the unread bytes.
                self._long_run *= 2
                self._calm_down()
            self._unread = 0
            self.readable()
        self._seen = self.count

    def _calm_down(self) -> None:
        self._bulk = False
        self._small = self._run = 0
        if self._source.socket is not None:
            self._batching.end(self, self._source.socket)

    def _from_pipe(self, pipe: Pipe) -> None:
        try:
            written = os.splice(pipe.read_end, self._sink.fd, self._in_pipe, None, None, _FLAGS)
        except BlockingIOError:
            written = 0
        except OSError as error:
            if error.errno == errno.EINVAL:
                self._copy_from(pipe)
                return
            if self._pipe is None:
                self._pipes.discard(pipe)
            self._sink.fail(error)
            return
        self._in_pipe -= written
        self.active = self._watcher.now
        if not self._in_pipe:
            self._pipes.give_back(pipe)
            if self._pipe is not None:
                self._pipe = None
                self._unblock()
        elif self._pipe is None:
            self._pipe = pipe
            self._block()

    def _copy_from(self, pipe: Pipe) -> None:
        self._copies = True
        self._calm_down()
        data = b""
        while len(data) < self._in_pipe:
            data += os.read(pipe.read_end, self._in_pipe - len(data))
        self._pipes.give_back(pipe)
        if self._pipe is None:
            self._block()
        self._pipe, self._held = None, data

    def _block(self) -> None:
        self._source.want(EPOLLIN, False)
        self._sink.want(EPOLLOUT)

    def _unblock(self) -> None:
        self._sink.want(EPOLLOUT, False)
        if not self._resting:
            self._source.want(EPOLLIN)

    def _pay(self, size: int) -> None:
        if self._limit is None or self._source.reader is not self:
            return
        if self._limit.passed(size, self._rested):
            self._resting = True
            self._source.want(EPOLLIN, False)

    def _rested(self) -> None:
        self._resting = False
        self.active = self._watcher.reactor.seconds()
        if not self._held and self._pipe is None:
            self._source.want(EPOLLIN)
