"""
Streams that the kernel cannot move, or only in part.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from rdv._flows.kernel.shortcut import Shortcut
from rdv._flows.kernel.takeover import Splicer
from rdv.test.doubles import present
from rdv.test.sockets import REACTOR
from rdv.test.stdio.doubles import PipingTestCase

CONTENT = Random(4).randbytes(3_000_001)


def error(number: int) -> OSError:
    """What a system call fails with."""
    return OSError(number, os.strerror(number))


class CopyingTests(PipingTestCase):
    """Bytes that go through a buffer, or the transport, arrive just as well."""

    async def check(self) -> None:
        """From a pipe to the peer, and from the peer to a file."""
        source, target = self.pipe()
        path = self.mktemp()
        await self.begin(source, self.opened(path, os.O_WRONLY | os.O_CREAT))
        received = self.receive()
        writing = Deferred.fromCoroutine(self.write(target, CONTENT))
        await self.send(CONTENT)
        self.assertTrue(await received == CONTENT)
        await writing
        await self.piping.done
        self.assertTrue(Path(path).read_bytes() == CONTENT)
        self.assertEqual((self.piping.sent, self.piping.received), (len(CONTENT),) * 2)

    async def test_no_splicer(self) -> None:
        """Another system, or another reactor."""
        self.splicer = None
        await self.check()
        self.assertIsNone(self.piping.shortcut)

    async def test_no_epoll(self) -> None:
        """No descriptor is left for one."""

        def epoll() -> None:
            raise error(errno.EMFILE)

        self.patch(select, "epoll", epoll)
        await self.check()
        self.assertIsNone(self.piping.shortcut)

    async def test_not_watched(self) -> None:
        """The system does not watch that many descriptors: those of the pipe and the file."""
        splicer = present(self.splicer)
        watch = splicer.watcher.watch
        watched: list[int] = []

        def first_only(fd: int, *arguments: Any) -> None:
            if watched and fd not in watched:
                raise error(errno.ENOSPC)
            watched.append(fd)
            watch(fd, *arguments)

        self.patch(splicer.watcher, "watch", first_only)
        await self.check()
        self.assertEqual(present(self.piping.shortcut).sent, 0)

    async def check_until(self, last: int, of_sinks: bool = True) -> int:
        """
        Parts of so many pieces are taken from a pipe by the sinks, or to one from the sources, and
        then nothing more.

        :return: how often that was tried.
        """
        splice = os.splice
        count = 0

        def part(source: int, sink: int, size: int, *arguments: Any) -> int:
            nonlocal count
            from_pipe = not os.get_blocking(source) and source != self.handle().fileno()
            if from_pipe is of_sinks:
                count += 1
                if count > last:
                    raise error(errno.EINVAL)
                size = min(size, 1000)
            return splice(source, sink, size, *arguments)

        patch = self.patch(os, "splice", part)
        await self.check()
        patch.restore()
        self.assertGreater(present(self.piping.shortcut).sent, 0)
        return count

    async def test_no_splice(self) -> None:
        """At once or in the middle: each of the two directions finds out by itself."""
        for of_sinks, numbers in ((True, (0, 1, 2, 3, 50)), (False, (0, 1, 2, 5))):
            for last in numbers:
                self.assertEqual(await self.check_until(last, of_sinks), last + 2)

    async def test_short_writes(self) -> None:
        """A file that takes a part is tried again."""
        self.assertGreater(await self.check_until(1 << 30), 2 * len(CONTENT) // 1000 - 500)


class FileErrorTests(PipingTestCase):
    """The errors of a file or a device as a sink."""

    async def test_full_in_the_middle(self) -> None:
        """After a part of a piece."""
        splice = os.splice
        path = self.mktemp()
        sink = self.opened(path, os.O_WRONLY | os.O_CREAT)

        def part(source: int, target: int, size: int, *arguments: Any) -> int:
            if target != sink:
                return splice(source, target, size, *arguments)
            if os.fstat(sink).st_size > 1_000_000:
                raise error(errno.ENOSPC)
            return splice(source, target, min(size, 10_000), *arguments)

        self.patch(os, "splice", part)
        await self.begin(self.null(), sink)
        sending = self.send(CONTENT)
        await self.broken("cannot write the data from the peer: no space left on device")
        self.assertTrue(CONTENT.startswith(Path(path).read_bytes()))
        self.assertGreater(os.fstat(sink).st_size, 1_000_000)
        sending.addErrback(lambda failure: failure.trap(OSError))
        await sending


class StalledTests(PipingTestCase):
    """A reader that does not read stops the peer."""

    async def test_reader(self) -> None:
        """Whatever it has not read yet, only some buffers' worth has been received."""
        reader, sink = self.pipe()
        await self.begin(self.null(), sink)
        content = CONTENT * 10
        sending = self.send(content)
        read = bytearray()
        while len(read) < len(content):
            read += await self.read(reader, min(100_000, len(content) - len(read)))
            self.assertLess(self.piping.received - len(read), 4 << 20)
        await sending
        await self.piping.done
        # Its pipe has been enlarged, because it continues to read.
        self.assertEqual(fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ), 1 << 18)
        self.assertTrue(read == content)

    async def test_peer(self) -> None:
        """Likewise the other way: what a source has is left there."""
        source = self.file_of(CONTENT * 10)
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
        self.handle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        await self.send(b"")
        received = bytearray()
        while len(received) < 10 * len(CONTENT):
            wanted = min(100_000, 10 * len(CONTENT) - len(received))
            received += await self.receive(wanted)
            self.assertLess(os.lseek(source, 0, os.SEEK_CUR) - len(received), 4 << 20)
        await self.piping.done
        self.assertTrue(received == CONTENT * 10)


class OneWayTests(PipingTestCase):
    """One direction has taken the shortcut, and the other one cannot."""

    async def test_reset_while_sending(self) -> None:
        """The transport finds out, and closes the socket."""
        reader, sink = self.pipe()
        # A device is read through the transport; what comes goes to a pipe.
        await self.begin(self.opened("/dev/zero"), sink)
        while self.piping.shortcut is None or not self.piping.shortcut.received:
            self.peer.sendall(b"x")
            await self.read(reader, 1)
        self.assertEqual(self.piping.shortcut.sent, 0)
        self.reset()
        await self.broken("the peer broke the connection")
        os.set_blocking(reader, False)
        with self.assertRaises(BlockingIOError):
            os.read(reader, 1)


class PastTests(PipingTestCase):
    """When the transport cannot be bypassed."""

    def test_not_a_socket(self) -> None:
        """As TLS."""
        splicer = Splicer.for_reactor(REACTOR)
        self.assertIsNone(Shortcut.past(present(splicer), object()))
