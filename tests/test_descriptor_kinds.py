"""
What stdin and stdout can be, with so much to move that the kernel does it.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.processes import PYTHON, Program
from tests.servers import (
    CONNECTED,
    DIRECT,
    MEGABYTE,
    RELAYED,
    SystemTestCase,
    digest,
    noise,
)

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")
BROKEN = "the stream broke: .+"
SIZE = 24 * MEGABYTE


class KindTestCase(SystemTestCase):
    """One stream, from a dialer to an acceptor."""

    async def transfer(self, *options: str, stdin: int, stdout: int) -> None:
        """To its end."""
        await self.serve()
        null = self.opened(os.devnull)
        acceptor = self.accept(*options, stdin=null, stdout=stdout)
        dialer = self.dial(*options, stdin=stdin)
        said = RELAY if options == RELAYED else P2P
        await self.assert_ended(dialer, 0, said)
        await self.assert_ended(acceptor, 0, said)

    def command(self, name: str, shell: str, **descriptors: Any) -> Program:
        """An ``rdv`` command in the middle of a shell's, as ``"$@"``."""
        command = (PYTHON, "-m", "rdv", name, *DIRECT, self.url, "a token")
        return Program(self, "/bin/sh", "-c", shell, "sh", *command, **descriptors)


class FileTests(KindTestCase):
    """Files of which not all is meant."""

    async def test_much(self) -> None:
        """By both paths."""
        source = self.file_of(noise(1, SIZE))
        for options in (DIRECT, RELAYED):
            path, target = self.created()
            await self.transfer(*options, stdin=self.opened(source), stdout=target)
            self.assertEqual(digest(path), digest(source))

    async def test_shared_descriptors(self) -> None:
        """Other programs have read the beginning, and write a first and a last line."""
        await self.serve()
        content = noise(2, 3 * MEGABYTE)
        path, target = self.created()
        acceptor = self.command(
            "accept",
            'echo first; "$@" && echo last',
            stdin=self.opened(os.devnull),
            stdout=target,
        )
        source = self.opened(self.file_of(content))
        # head reads ahead; dd does not.
        dialer = self.command("dial", 'dd bs=10 count=1 status=none >&2; "$@"', stdin=source)
        self.assertEqual(await dialer.ended, 0, dialer.report())
        await self.assert_ended(acceptor, 0, P2P)
        with open(path, "rb") as file:
            self.assertTrue(file.read() == b"first\n" + content[10:] + b"last\n")

    async def test_appended(self) -> None:
        """``>>``: another one may append to the same file, and the kernel cannot splice to it."""
        content = noise(3, 3 * MEGABYTE)
        path = self.file_of(b"first\n")
        target = self.opened(path, os.O_WRONLY | os.O_APPEND)
        source = self.opened(self.file_of(content))
        await self.transfer(*DIRECT, stdin=source, stdout=target)
        with open(path, "rb") as file:
            self.assertTrue(file.read() == b"first\n" + content)

    async def test_too_large(self) -> None:
        """What the file system, or a limit, does not take breaks the stream for both sides."""
        await self.serve()
        path, target = self.created()
        acceptor = self.command(
            "accept",
            'ulimit -f 4096; exec "$@"',  # blocks of 512 bytes, or of 1024
            stdin=self.opened(os.devnull),
            stdout=target,
        )
        dialer = self.dial(*DIRECT, stdin=self.opened(self.file_of(noise(4, SIZE))))
        await self.assert_ended(acceptor, 3, P2P, "the stream broke: .*file too large")
        await self.assert_ended(dialer, 3, P2P, BROKEN)
        self.assertIn(os.stat(path).st_size, (2 * MEGABYTE, 4 * MEGABYTE))


class PipeTests(KindTestCase):
    """Pipes, with a name or without."""

    async def check(self, *options: str) -> None:
        """A program writes to one, and another one reads from the other."""
        source = self.file_of(noise(5, SIZE))
        stdin, writer = os.pipe()
        reader, stdout = os.pipe()
        cat = Program(self, "/bin/cat", source, stdout=writer)
        summing = Program(self, "/usr/bin/sha256sum", stdin=reader)
        for fd in (writer, reader):
            os.close(fd)
        transferring = Deferred.fromCoroutine(self.transfer(*options, stdin=stdin, stdout=stdout))
        self.assertEqual(await cat.ended, 0)
        await transferring
        os.close(stdin)
        os.close(stdout)
        self.assertEqual(await summing.ended, 0)
        self.assertEqual(summing.stdout.split()[0].decode(), digest(source))

    async def test_direct(self) -> None:
        """Directly."""
        await self.check(*DIRECT)

    async def test_relayed(self) -> None:
        """Through the relay."""
        await self.check(*RELAYED)

    async def test_fifos(self) -> None:
        """Pipes with a name."""
        await self.serve()
        there, back = self.mktemp(), self.mktemp()
        content = noise(6, SIZE)
        source = self.file_of(content)
        for path in (there, back):
            os.mkfifo(path)
        there, back = os.path.abspath(there), os.path.abspath(back)
        acceptor = self.command("accept", f'exec "$@" </dev/null >{back}')
        dialer = self.command("dial", f'exec "$@" <{there}')
        writer = Program(self, "/bin/sh", "-c", f"cat {source} >{there}")
        reader = Program(self, "/bin/cat", back)
        self.assertTrue(await reader.received(SIZE) == content)
        for program in (writer, reader):
            self.assertEqual(await program.ended, 0)
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, P2P)
        self.assertEqual(len(reader.stdout), SIZE)

    async def test_fifo_kept_open(self) -> None:
        """Opened to read and write, as by whom it shall not block; its reader comes late."""
        await self.serve()
        path = os.path.abspath(self.mktemp())
        os.mkfifo(path)
        content = noise(7, MEGABYTE)
        acceptor = self.command("accept", f'exec "$@" </dev/null 1<>{path}')
        dialer = self.command("dial", 'exec "$@"', stdin=self.opened(self.file_of(content)))
        await acceptor.line(P2P)
        await dialer.line(P2P)
        reader = Program(self, "/bin/cat", path)
        self.assertTrue(await reader.received(MEGABYTE) == content)
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, P2P)

    async def endless(self, *options: str) -> tuple[Program, Program]:
        """
        Get into the middle of a stream without end.

        :return: the dialer and the acceptor.
        """
        await self.serve()
        null = self.opened(os.devnull)
        self.stdin, writer = os.pipe()
        self.reader, self.stdout = os.pipe()
        for fd in (self.stdin, self.stdout, self.reader):
            self.addCleanup(os.close, fd)
        yes = Program(self, "/usr/bin/yes", stdout=writer)
        os.close(writer)
        acceptor = self.accept(*options, stdin=null, stdout=self.stdout)
        dialer = self.dial(*options, stdin=self.stdin)
        got = await deferToThread(self.read_much)
        self.assertEqual(got, SIZE)
        self.assertIsNone(yes.exit_code)  # it goes on
        return dialer, acceptor

    def read_much(self) -> int:
        """So much that it is all the kernel's work by then."""
        size = 0
        while size < SIZE:
            size += len(os.read(self.reader, min(1 << 16, SIZE - size)))
        return size

    async def test_interrupted_sender(self) -> None:
        """The receiver does not take a part for the whole."""
        dialer, acceptor = await self.endless(*DIRECT)
        dialer.signal("INT")
        await self.assert_ended(dialer, 130, P2P)
        self.assertTrue(os.get_blocking(self.stdin))
        await self.assert_ended(acceptor, 3, P2P, BROKEN)
        self.assertTrue(os.get_blocking(self.stdout))

    async def test_interrupted_receiver(self) -> None:
        """The sender learns of it, and all descriptors are as they were."""
        dialer, acceptor = await self.endless(*RELAYED)
        acceptor.signal("INT")
        await self.assert_ended(acceptor, 130, RELAY)
        await self.assert_ended(dialer, 3, RELAY, BROKEN)
        self.assertTrue(os.get_blocking(self.stdin))
        self.assertTrue(os.get_blocking(self.stdout))

    async def test_killed_sender(self) -> None:
        """No last word, and no end."""
        dialer, acceptor = await self.endless(*RELAYED)
        dialer.signal("KILL")
        await self.assert_ended(acceptor, 3, RELAY, BROKEN)


class SocketTests(KindTestCase):
    """A TCP connection for both stdin and stdout, as inetd gives it to what it starts."""

    async def test_both_ways(self) -> None:
        """Much both ways at once, and each end goes through."""
        await self.serve()
        there, back = noise(7, SIZE), noise(8, SIZE)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        with ours, theirs:
            acceptor = self.accept(*RELAYED, stdin=theirs.fileno(), stdout=theirs.fileno())
            theirs.close()
            dialer = self.dial(*RELAYED)
            sending = deferToThread(send_all, ours, there)
            receiving = deferToThread(receive_all, ours)
            dialer.write(back)
            dialer.close_stdin()
            self.assertTrue(await receiving == back)
            await sending
            await self.assert_ended(acceptor, 0, RELAY)
            await self.assert_ended(dialer, 0, RELAY)
            self.assertTrue(dialer.stdout == there)


def send_all(sock: socket.socket, data: bytes) -> None:
    """Send all and the end."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def receive_all(sock: socket.socket) -> bytes:
    """All to the end."""
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return bytes(data)
