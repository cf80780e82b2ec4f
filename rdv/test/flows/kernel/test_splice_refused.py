"""A direction of which one end has no splice, perhaps only when much is under way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.kernel.batching import Batching
from rdv._flows.kernel.descriptor import Descriptor
from rdv._flows.kernel.epoll import Watcher
from rdv._flows.kernel.pipes import Pipes
from rdv._flows.kernel.splice import Splice
from rdv.test.flows.kernel.doubles import HandReactor

CONTENT = Random(6).randbytes(200_000)


class RefusedTests(SynchronousTestCase):
    """From a socket to a small pipe, step by step."""

    def begin(self) -> None:
        """With nothing moved yet."""
        reactor = HandReactor()
        self.watcher = Watcher(reactor)
        self.pipes = Pipes()
        self.addCleanup(self.pipes.close)
        self.peer, self.source = socket.socketpair()
        self.reader, self.sink = os.pipe2(os.O_NONBLOCK)
        fcntl.fcntl(self.sink, fcntl.F_SETPIPE_SZ, 1 << 13)
        self.addCleanup(self.peer.close)
        self.addCleanup(self.source.close)
        for fd in (self.reader, self.sink):
            self.addCleanup(os.close, fd)
        self.peer.setblocking(False)
        self.source.setblocking(False)
        self.lost: list[OSError] = []
        self.ends = [
            Descriptor(self.watcher, file, self.lost.append) for file in (self.source, self.sink)
        ]
        for end in self.ends:
            self.addCleanup(end.forget)
        self.ended = False
        self.splice = Splice(
            self.watcher, self.pipes, Batching(reactor), self.ends[0], self.ends[1], self.end
        )

    def end(self) -> None:
        """The source has ended."""
        self.ended = True

    def refuse(self, fd: int, last: int) -> None:
        """Let ``fd`` be spliced from or to so many times, in parts, and then no more."""
        splice = os.splice

        def part(source: int, sink: int, size: int, *arguments: Any) -> int:
            if fd in (source, sink):
                self.count += 1
                if self.count > last:
                    raise OSError(errno.EINVAL, "refused")
                size = min(size, 1000)
            return splice(source, sink, size, *arguments)

        self.count = 0
        self.patch(os, "splice", part)

    def move(self) -> bytes:
        """Move everything, with a slow reader."""
        left, got = memoryview(CONTENT), b""
        while not self.ended:
            if left:
                with contextlib.suppress(BlockingIOError):
                    left = left[self.peer.send(left) :]
            else:
                self.peer.close()
            self.watcher.doRead()
            with contextlib.suppress(BlockingIOError):
                got += os.read(self.reader, 5000)
        while len(got) < self.splice.count:
            got += os.read(self.reader, 5000)
        return got

    def check(self, fd: Callable[[], int]) -> None:
        """Nothing is lost, and it is not tried again."""
        for last in (0, 1, 2, 5):
            self.begin()
            self.refuse(fd(), last)
            self.assertTrue(self.move() == CONTENT)
            self.assertEqual(self.count, last + 1)
            self.assertEqual((self.lost, self.pipes.taken), ([], 0))
            self.doCleanups()

    def test_sink(self) -> None:
        self.check(lambda: self.sink)

    def test_source(self) -> None:
        self.check(lambda: self.source.fileno())
