"""
A watcher without a running reactor, and two connections between which bytes are moved.
"""

from __future__ import annotations

import fcntl
import select
import socket
import sys
import termios
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rdv._flows.kernel.batching import Batching
from rdv._flows.kernel.descriptor import Descriptor
from rdv._flows.kernel.epoll import IReactor, Watcher
from rdv._flows.kernel.pipes import Pipe, Pipes
from rdv._flows.kernel.splice import Splice
from rdv._flows.rate import Limit
from rdv._system.sockets import linger, tune
from rdv.test.sockets import descriptors

NOISE = Random(1).randbytes(3_000_000)
#: Seconds after which something will not happen any more.
LONG = 20


@implementer(IReactor)
class HandReactor(Clock):
    """
    A reactor that only records.

    :ivar readers: the descriptors to watch.
    :ivar step: the seconds by which the time advances at each query. With the default, any turn
        that does some work takes too long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []
        self.step = 0.01

    def seconds(self) -> float:
        self.rightNow += self.step
        return self.rightNow

    def addReader(self, reader: IReadDescriptor) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        assert reader.fileno() >= 0  # otherwise it could not be found again
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        raise NotImplementedError

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        raise NotImplementedError

    def removeAll(self) -> list[Any]:  # noqa: N802
        raise NotImplementedError

    def getReaders(self) -> list[Any]:  # noqa: N802
        return list(self.readers)

    def getWriters(self) -> list[Any]:  # noqa: N802
        return []


class CountedPipes(Pipes):
    """
    Pipes that count.

    :ivar takes: how often one was taken.
    """

    takes = 0

    def take(self) -> Pipe | None:
        self.takes += 1
        return super().take()


class Side:
    """
    One of the two connections.

    :ivar far: the client's socket.
    :ivar near: ours.
    :ivar end: the watched descriptor of ``near``.
    :ivar error: the error with which it was lost.
    :ivar ends: how often its direction has ended.
    """

    def __init__(self, watcher: Watcher, buffer: int) -> None:
        with socket.socket() as listener:
            self.far = socket.socket()
            for sock in (listener, self.far):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer or 1 << 20)
                if buffer:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            self.far.settimeout(LONG)
            self.far.connect(listener.getsockname())
            self.near, _ = listener.accept()
        self.near.setblocking(False)
        tune(self)
        self.end = Descriptor(watcher, self.near, self._lost)
        self.error: OSError | None = None
        self.ends = 0

    def getHandle(self) -> socket.socket:
        """As a transport gives it."""
        return self.far

    def _lost(self, error: OSError) -> None:
        assert self.error is None
        self.error = error

    def has_ended(self) -> None:
        """For a splice."""
        self.ends += 1

    def send(self, data: bytes) -> None:
        """Let the client send. If nothing else is to be read, wait until the first 64 KiB are."""
        wanted = 0 if self._unread() else min(len(data), 1 << 16)
        self.far.sendall(data)
        while self._unread() < wanted:
            assert select.select([self.near], [], [], LONG)[0]

    def _unread(self) -> int:
        return int.from_bytes(fcntl.ioctl(self.near, termios.FIONREAD, bytes(4)), sys.byteorder)

    def finish(self) -> None:
        """Let the client end its direction, and wait until that has arrived."""
        self.far.shutdown(socket.SHUT_WR)
        self._wait(select.POLLRDHUP)

    def reset(self) -> None:
        """Let the client break the connection, and wait until that has arrived."""
        linger(self, True)
        self.far.close()
        self._wait(select.POLLERR)

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self.near, event)
        assert poll.poll(LONG * 1000)

    def close(self) -> None:
        """Both sockets."""
        self.end.forget()
        self.near.close()
        self.far.close()


class SpliceTestCase(SynchronousTestCase):
    """
    Two connections.

    :ivar left, right: the connections.
    """

    def setUp(self) -> None:
        self.before = descriptors()
        self.reactor = HandReactor()
        self.watcher = Watcher(self.reactor)
        self.pipes = CountedPipes()
        self.batching = Batching(self.reactor)
        self.addCleanup(self.check_left_over)

    def check_left_over(self) -> None:
        """Nothing is."""
        self.assertEqual((self.pipes.taken, len(self.batching), len(self.watcher)), (0, 0, 0))
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ([], []))
        self.pipes.close()
        self.assertEqual(descriptors(), self.before)

    def new_side(self, buffer: int = 0) -> Side:
        """One more connection."""
        side = Side(self.watcher, buffer)
        self.addCleanup(side.close)
        return side

    def splice(
        self, source: Side, sink: Side, limit: Limit | None = None, count: int = 0
    ) -> Splice:
        """From one to the other."""
        splice = Splice(
            self.watcher,
            self.pipes,
            self.batching,
            source.end,
            sink.end,
            source.has_ended,
            count,
            limit,
        )
        self.addCleanup(splice.stop)
        return splice

    def step(self) -> None:
        """Let the watcher work when it next has something to do."""
        assert select.select([self.watcher], [], [], LONG)[0], "nothing happens"
        self.watcher.doRead()

    def until(self, true: Callable[[], object]) -> None:
        """Let it work until something is true."""
        while not true():
            self.step()

    def is_busy(self) -> bool:
        """Whether it has something to do."""
        return bool(self.reactor.readers and select.select([self.watcher], [], [], 0)[0])

    def settle(self) -> None:
        """Let it work while there is something to do."""
        for _ in range(1000):
            if not self.is_busy():
                return
            self.watcher.doRead()
        raise AssertionError("it never comes to rest")

    def receive(self, side: Side, size: int) -> bytes:
        """So many bytes, as they come."""
        return self.transfer(side, b"", side, size)

    def transfer(self, source: Side, data: bytes, sink: Side, size: int) -> bytes:
        """Send on one side, and receive so many bytes on another."""
        received = bytearray()
        unsent = memoryview(data)
        while unsent or len(received) < size:
            reading: list[Any] = [self.watcher] if self.reactor.readers else []
            if len(received) < size:
                reading.append(sink.far)
            writing = [source.far] if unsent else []
            readable, writable, _ = select.select(reading, writing, [], LONG)
            assert readable or writable, f"nothing happens after {len(received)} bytes"
            if self.watcher in readable:
                self.watcher.doRead()
            if sink.far in readable:
                received += sink.far.recv(min(size - len(received), 1 << 16))
            if writable:
                sent = source.far.send(unsent, socket.MSG_DONTWAIT)
                unsent = unsent[sent:]
        return bytes(received)


class StreamTestCase(SpliceTestCase):
    """
    A stream from the left to the right, of :data:`NOISE`.

    :ivar sent, got: how many bytes of it.
    """

    left: Side
    right: Side
    sent = got = 0

    def send(self, size: int) -> None:
        """Let the left side send so much more."""
        self.left.send(NOISE[self.sent : self.sent + size])
        self.sent += size

    def get(self, size: int) -> None:
        """Let the right side read so much."""
        wanted = NOISE[self.got : self.got + size]
        self.assertEqual(self.receive(self.right, size), wanted)
        self.got += size
