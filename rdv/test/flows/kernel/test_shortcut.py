"""stdin and stdout of every kind, whose bytes the kernel moves."""

from __future__ import annotations

import fcntl
import os
import socket
import tty
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred

from rdv.test.sockets import tcp_pair
from rdv.test.stdio.doubles import PipingTestCase

#: More than all buffers between the two hold before the shortcut begins.
MUCH = 3_000_001
CONTENT = Random(1).randbytes(MUCH)
#: How much of that may go through the transport: a piece before the shortcut begins, and one in the
#: same turn.
COPIED = 1 << 18


class SourceTests(PipingTestCase):
    """What is sent arrives, whatever it comes from, and hardly any of it through the transport."""

    async def check(self, source: int, content: bytes = CONTENT, copied: int = COPIED) -> None:
        """It does, to its end."""
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
        received = self.receive()
        await self.send(b"")
        self.assertTrue(await received == content)
        await self.piping.done
        self.assertEqual(self.piping.sent, len(content))
        shortcut = self.piping.shortcut  # there is none, if the end was there before
        self.assertGreaterEqual(shortcut.sent if shortcut else 0, len(content) - copied)

    async def check_written(self, source: int, target: int) -> None:
        """The same, while somebody writes to the other end of the source."""
        writing = Deferred.fromCoroutine(self.write(target, CONTENT))
        await self.check(source)
        await writing
        self.assertTrue(os.get_blocking(source))

    async def test_rest_of_a_file(self) -> None:
        """Somebody has read the beginning from the same descriptor, and may read on behind us."""
        source = self.file_of(CONTENT)
        os.lseek(source, 1_000_000, os.SEEK_SET)
        await self.check(source, CONTENT[1_000_000:])
        self.assertEqual(os.lseek(source, 0, os.SEEK_CUR), MUCH)

    async def test_pipe(self) -> None:
        """It holds more afterwards; a large one stays as it is."""
        for size, afterwards in ((1 << 16, 1 << 18), (1 << 19, 1 << 19)):
            source, target = self.pipe()
            fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, size)
            await self.check_written(source, target)
            self.assertEqual(fcntl.fcntl(source, fcntl.F_GETPIPE_SZ), afterwards)

    async def test_fifo_and_sockets(self) -> None:
        path = self.mktemp()
        os.mkfifo(path)
        fifo = self.opened(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(fifo, True)
        await self.check_written(fifo, self.opened(path, os.O_WRONLY))
        await self.check_written(*self.sockets())
        await self.check_written(*(self.keep(each.detach()) for each in tcp_pair()))

    async def test_pipe_that_is_full_when_its_writer_has_gone(self) -> None:
        for size in (1 << 16, 1 << 18):
            source, target = self.pipe()
            fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, size)
            os.write(target, CONTENT[:size])
            self.close(target)
            await self.check(source, CONTENT[:size], copied=1 << 17)

    async def test_not_a_byte(self) -> None:
        """Nothing comes that would be worth a shortcut."""
        await self.begin(self.null(), self.opened(os.devnull, os.O_WRONLY))
        await self.send(b"")
        self.assertEqual(await self.receive(), b"")
        await self.piping.done
        self.assertIsNone(self.piping.shortcut)

    async def test_file_that_cannot_be_sent(self) -> None:
        """Some can only be read."""

        def sendfile(*arguments: object) -> int:
            raise OSError(22, "Invalid argument")

        self.patch(os, "sendfile", sendfile)
        await self.check(self.file_of(CONTENT), copied=MUCH)
        assert self.piping.shortcut is not None
        self.assertEqual(self.piping.shortcut.sent, 0)

    async def test_file_that_cannot_be_read(self) -> None:
        """It is not sent as if it ended there; and it is the file's fault."""
        read, sendfile = os.read, os.sendfile
        source = self.file_of(CONTENT)
        broken: list[int] = []

        def part(out: int, fd: int, offset: int | None, count: int) -> int:
            if fd != source or not broken:
                broken.append(fd)
                return sendfile(out, fd, offset, min(count, 1000))
            raise OSError(5, "Input/output error")

        def nothing(fd: int, count: int) -> bytes:
            if fd == source and broken:
                raise OSError(5, "Input/output error")
            return read(fd, count)

        self.patch(os, "sendfile", part)
        self.patch(os, "read", nothing)
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
        await self.broken("cannot read the data to send: input/output error")

    async def test_file_that_grows(self) -> None:
        """What is there when the end is reached is sent."""
        source = self.file_of(CONTENT)
        sendfile = os.sendfile

        def grow(out: int, fd: int, offset: int | None, count: int) -> int:
            size = sendfile(out, fd, offset, count)
            if not size and not grown:
                grown.append(os.write(writer, b"more"))
            return size

        grown: list[int] = []
        writer = self.opened(f"/proc/self/fd/{source}", os.O_WRONLY | os.O_APPEND)
        self.patch(os, "sendfile", grow)
        await self.check(source, CONTENT + b"more")

    async def test_file_that_shrinks(self) -> None:
        """It just ends earlier."""
        source = self.file_of(CONTENT)
        path = os.readlink(f"/proc/self/fd/{source}")
        sendfile = os.sendfile

        def shrink(out: int, fd: int, offset: int | None, count: int) -> int:
            size = sendfile(out, fd, offset, min(count, 1 << 16))
            os.truncate(path, 1_000_000)
            return size

        self.patch(os, "sendfile", shrink)
        await self.check(source, CONTENT[:1_000_000])


class SinkTests(PipingTestCase):
    """What is received is written, whatever it goes to, and hardly through the transport."""

    async def check(self, sink: int, content: bytes = CONTENT) -> None:
        """It is, to its end."""
        await self.begin(self.null(), sink)
        await self.send(content)
        await self.piping.done
        self.assertEqual(self.piping.received, len(content))
        assert self.piping.shortcut is not None
        self.assertGreaterEqual(self.piping.shortcut.received, len(content) - COPIED)

    async def check_read(self, source: int, sink: int) -> None:
        """The same, while somebody reads the other end of the sink, and sees the end."""
        reading = self.read(source)
        same = self.keep(os.dup(sink))
        content = Random(2).randbytes(12 * MUCH)
        await self.begin(self.null(), sink)
        await self.send(content)
        await self.piping.done
        self.assertTrue(os.get_blocking(same))
        self.close(same)
        self.assertTrue(await reading == content)

    async def test_middle_of_a_file(self) -> None:
        """Somebody has written the beginning to the same descriptor."""
        path = self.mktemp()
        sink = self.opened(path, os.O_WRONLY | os.O_CREAT)
        os.write(sink, b"first ")
        await self.check(sink)
        os.write(sink, b" last")
        self.assertTrue(Path(path).read_bytes() == b"first " + CONTENT + b" last")

    async def test_file_that_is_appended_to(self) -> None:
        """The kernel does not splice there."""
        path = self.mktemp()
        Path(path).write_bytes(b"first ")
        await self.check(self.opened(path, os.O_WRONLY | os.O_APPEND))
        self.assertTrue(Path(path).read_bytes() == b"first " + CONTENT)

    async def test_terminal(self) -> None:
        """It goes on through the transport, and stays as it is: the shell has it too."""
        person, terminal = (self.keep(fd) for fd in os.openpty())
        tty.setraw(terminal)
        await self.begin(self.null(), terminal)
        sending = self.send(CONTENT[:100_000])
        self.assertTrue(await self.read(person, 100_000) == CONTENT[:100_000])
        self.assertTrue(os.get_blocking(terminal))
        await sending
        await self.piping.done
        assert self.piping.shortcut is not None
        self.assertEqual(self.piping.shortcut.received, 0)

    async def test_pipe_and_socket(self) -> None:
        await self.check_read(*self.pipe())
        await self.check_read(*self.sockets())

    async def test_one_socket_for_both(self) -> None:
        """As a server has it that starts a command for each of its connections."""
        ours, theirs = self.sockets()
        await self.begin(theirs, self.keep(os.dup(theirs)))
        there, back = self.read(ours, MUCH), self.receive(MUCH)
        sending = self.send(CONTENT, end=False)
        await self.write(self.keep(os.dup(ours)), CONTENT)
        self.assertTrue(await there == CONTENT)
        self.assertTrue(await back == CONTENT)
        await sending
        self.peer.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.read(ours), b"")
        with socket.socket(fileno=os.dup(ours)) as sock:
            sock.shutdown(socket.SHUT_WR)
        await self.piping.done
        assert self.piping.shortcut is not None
        self.assertGreater(self.piping.shortcut.sent, MUCH - COPIED)
        self.assertGreater(self.piping.shortcut.received, MUCH - COPIED)
