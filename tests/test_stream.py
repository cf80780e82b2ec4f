"""
``rdv dial`` and ``rdv accept`` step by step: each step follows another one. For streams from one
end to the other see :mod:`tests.test_descriptor_kinds`.
"""

from __future__ import annotations

import os
import socket
import struct

from twisted.internet.threads import deferToThread

from tests.processes import Program
from tests.servers import (
    BROKEN,
    DIRECT,
    MEGABYTE,
    P2P,
    RELAY,
    RELAYED,
    SystemTestCase,
    noise,
)
from tests.test_descriptor_kinds import PEER

PATHS = ((DIRECT, P2P), (RELAYED, RELAY))


class EndTests(SystemTestCase):
    """The end of one direction, and data in the other direction after it."""

    forked = True

    async def test_both_ways(self) -> None:
        """Much both ways at once, then the end of one way, then more the other way."""
        await self.serve()
        there, back = noise(5, 4 * MEGABYTE), noise(6, 3 * MEGABYTE)
        for options, said in PATHS:
            acceptor, dialer = self.accept(*options), self.dial(*options)
            dialer.write(there)
            acceptor.write(back)
            self.assertEqual(await acceptor.received(len(there)), there)
            self.assertEqual(await dialer.received(len(back)), back)
            dialer.write(b"the end")
            dialer.close_stdin()
            await acceptor.received(len(there) + len(b"the end"))
            acceptor.write(b"more")
            await dialer.received(len(back) + len(b"more"))
            acceptor.close_stdin()
            for client in (acceptor, dialer):
                await self.assert_ended(client, 0, said)
            self.assertEqual(acceptor.stdout, there + b"the end")
            self.assertEqual(dialer.stdout, back + b"more")

    async def test_end_reaches_reader(self) -> None:
        """TLS has a half-close, too."""
        await self.serve()
        for options, said in PATHS:
            await self.check_end_reaches_reader(said, *options)
        await self.serve_https()
        await self.check_end_reaches_reader(RELAY, *RELAYED, *self.trust)

    async def test_sender_ends_last(self) -> None:
        """Under TLS it may exit only when its end has left, or the other one has no end."""
        await self.serve_https()
        options = (*RELAYED, *self.trust)
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        dialer = self.dial(*options, stdout=writer)
        os.close(writer)
        peer_ended = Program(self, "/bin/cat", stdin=reader)
        acceptor = self.accept(*options, stdin=self.opened(self.file_of(b"x")))
        await peer_ended.ended
        dialer.write(b"hi\n")
        await acceptor.received(3)
        dialer.close_stdin()
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, RELAY)
        self.assertEqual(acceptor.stdout, b"hi\n")


class ReaderTests(SystemTestCase):
    """The reader of the acceptor's stdout."""

    forked = True

    def accept_to_pipe(self, *options: str) -> tuple[Program, int]:
        """An acceptor with nothing to say, and where its stdout is read."""
        reader, writer = os.pipe()
        acceptor = self.accept(*options, stdin=self.opened(os.devnull), stdout=writer)
        os.close(writer)
        return acceptor, reader

    async def test_leaves_with_everything(self) -> None:
        """Before the end has come: nobody has lost anything, and nobody says so."""
        await self.serve()
        content = noise(3, MEGABYTE)  # so much that most of it bypasses the transport
        for options, said in PATHS:
            acceptor, reader = self.accept_to_pipe(*options)
            dialer = self.dial(*options)
            head = Program(self, "/usr/bin/head", "-c", str(len(content)), stdin=reader)
            os.close(reader)
            dialer.write(content)
            self.assertEqual(await head.ended, 0)
            self.assertEqual(head.stdout, content)
            dialer.close_stdin()
            await self.assert_ended(acceptor, 0, said)
            await self.assert_ended(dialer, 0, said)

    async def test_sleeps_when_the_receiver_is_killed(self) -> None:
        """What the receiver holds is lost, though its system has acknowledged it."""
        await self.serve()
        for options, said in PATHS:
            acceptor, reader = self.accept_to_pipe("--json", *options)
            self.addCleanup(os.close, reader)
            dialer = self.dial(*options, stdin=self.opened(self.file_of(noise(2, 100_000))))
            await acceptor.line('"event": "bytes".*"received": [1-9]')
            acceptor.signal("KILL")
            await self.assert_ended(dialer, 3, said, PEER)


class SharedTests(SystemTestCase):
    """Descriptors that other processes share."""

    forked = True

    async def test_pipes_stay_as_they_were(self) -> None:
        """In the middle of a stream without end, and behind it: they are left blocking."""
        await self.serve()
        for options, said in PATHS:
            stdin, writer = os.pipe()
            reader, stdout = os.pipe()
            for fd in (stdin, stdout, reader):
                self.addCleanup(os.close, fd)
            Program(self, "/usr/bin/yes", stdout=writer)
            os.close(writer)
            acceptor = self.accept(*options, stdin=self.opened(os.devnull), stdout=stdout)
            dialer = self.dial(*options, stdin=stdin)
            await deferToThread(read, reader, 24 * MEGABYTE)
            acceptor.signal("INT")
            await self.assert_ended(acceptor, 130, said)
            await self.assert_ended(dialer, 3, said, BROKEN)
            self.assertEqual((os.get_blocking(stdin), os.get_blocking(stdout)), (True, True))

    async def test_socket_for_both(self) -> None:
        """As inetd gives it to what it starts. The peer's end goes through by itself."""
        await self.serve()
        there, back = noise(7, 24 * MEGABYTE), noise(8, 24 * MEGABYTE)
        for ours, theirs in (connected_sockets(), socket.socketpair()):
            with ours, theirs:
                acceptor = self.accept(*RELAYED, stdin=theirs.fileno(), stdout=theirs.fileno())
                theirs.close()
                dialer = self.dial(*RELAYED)
                sending = deferToThread(ours.sendall, there)
                receiving = deferToThread(read, ours.fileno())
                dialer.write(back)
                dialer.close_stdin()
                self.assertTrue(await receiving == back)
                await sending
                self.assertIsNone(acceptor.exit_code)
                ours.sendall(b"more")
            await self.assert_ended(acceptor, 0, RELAY)
            await self.assert_ended(dialer, 0, RELAY)
            self.assertTrue(dialer.stdout == there + b"more")

    async def test_reset(self) -> None:
        """What a socket has given before is not all there is: a broken stream for both."""
        await self.serve()
        ours, theirs = connected_sockets()
        with ours, theirs:
            dialer = self.dial(*RELAYED, stdin=theirs.fileno())
            theirs.close()
            acceptor = self.accept(*RELAYED)
            ours.sendall(b"part")
            self.assertEqual(await acceptor.received(4), b"part")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.assert_ended(
            dialer, 3, RELAY, "the stream broke: cannot read the data to send: .+"
        )
        await self.assert_ended(acceptor, 3, RELAY, BROKEN)


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


def read(fd: int, most: int = 1 << 62) -> bytes:
    """All to the end, or so much."""
    data = bytearray()
    while len(data) < most and (piece := os.read(fd, min(1 << 16, most - len(data)))):
        data += piece
    return bytes(data)
