"""
What once went wrong in whole programs: at the ends of streams, with odd descriptors, and with
arguments that make no sense.
"""

from __future__ import annotations

import os
import socket
import struct

from rdv.test.certificates import Authority
from tests.processes import PYTHON, Program
from tests.servers import CONNECTED, LISTENING, RELAYED, SystemTestCase

RELAY = CONNECTED.format("relay")
BROKEN = "the stream broke: .+"


class LastBytesTests(SystemTestCase):
    """The last bytes of who speaks last, by way of a relay that speaks TLS."""

    async def test_sender_ends_last(self) -> None:
        """It may exit only when its end has left, or the other one has no end."""
        authority = Authority()
        pem = self.file_of(authority.issue("127.0.0.1"))
        await self.serve(listen=f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
        self.url = f"https://127.0.0.1:{self.port}/rdv"
        options = (*RELAYED, "--ca", self.file_of(authority.pem))
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


class SocketTests(SystemTestCase):
    """Sockets in the place of stdin and stdout."""

    async def test_one_for_both(self) -> None:
        """As for a command that a server or ssh has started: the other end sees the peer's end."""
        await self.serve()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            acceptor = self.accept(*RELAYED, stdin=theirs.fileno(), stdout=theirs.fileno())
            theirs.close()
            reader = Program(self, "/bin/cat", stdin=ours.fileno())
            dialer = self.dial(*RELAYED)
            dialer.write(b"bye")
            dialer.close_stdin()
            self.assertEqual(await reader.ended, 0)
            self.assertEqual(reader.stdout, b"bye")
            self.assertIsNone(acceptor.exit_code)
            ours.sendall(b"answer")
        await self.assert_ended(acceptor, 0, RELAY)
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(dialer.stdout, b"answer")

    async def test_reset(self) -> None:
        """What is sent is not all there is: a broken stream for both."""
        await self.serve()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        with ours, theirs:
            dialer = self.dial(*RELAYED, stdin=theirs.fileno())
            theirs.close()
            acceptor = self.accept(*RELAYED)
            ours.sendall(b"part")
            self.assertEqual(await acceptor.received(4), b"part")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.assert_ended(dialer, 3, RELAY, "the stream broke: cannot read what to send: .+")
        await self.assert_ended(acceptor, 3, RELAY, BROKEN)


class StderrTests(SystemTestCase):
    """Nobody listens to what is said."""

    def with_stderr(self, redirection: str, *arguments: str) -> Program:
        """The ``rdv`` command, with its stderr redirected by a shell."""
        script = f'exec "$@" {redirection}'
        return Program(self, "/bin/sh", "-c", script, "sh", PYTHON, "-m", "rdv", *arguments)

    async def test_streams(self) -> None:
        """They work all the same, and their status is what it would be."""
        await self.serve()
        for redirection in ("2>&-", "2>/dev/full"):
            for verbose in ((), ("-v",)):
                peer = (*verbose, *RELAYED, self.url, "t")
                acceptor = self.with_stderr(redirection, "accept", *peer)
                dialer = self.with_stderr(redirection, "dial", *peer)
                dialer.write(b"ping")
                self.assertEqual(await acceptor.received(4), b"ping")
                dialer.close_stdin()
                acceptor.write(b"pong")
                acceptor.close_stdin()
                for program, received in ((dialer, b"pong"), (acceptor, b"ping")):
                    self.assertEqual(await program.ended, 0, program.report())
                    self.assertEqual((program.stdout, program.stderr), (received, b""))

    async def test_failures(self) -> None:
        """A status speaks for itself."""
        for redirection in ("2>&-", "2>/dev/full"):
            for status, arguments in (
                (1, ("dial", "http://nobody.invalid/", "t")),
                (2, ("dial", "ftp://nobody.invalid/", "t")),
                (2, ("dial", "--timeout=nan", "http://nobody.invalid/", "t")),
            ):
                program = self.with_stderr(redirection, *arguments)
                self.assertEqual(await program.ended, status, (redirection, program.report()))
                self.assertEqual((program.stdout, program.stderr), (b"", b""))


class UsageTests(SystemTestCase):
    """Arguments that make no sense, or only look as if."""

    async def test_header(self) -> None:
        """The name or the form of one; its value is not repeated."""
        for line in ("na me: secret", "n\u00e4me: secret", "name", ": secret", "a(b): secret"):
            program = self.rdv("dial", "--header", line, "http://127.0.0.1:1/", "t")
            await self.assert_ended(program, 2, "not .+")

    async def test_tcp_and_a_port(self) -> None:
        """An endpoint string, though it looks like a host and a port."""
        server = self.rdv("serve", "-l", "tcp:0")
        port = (await server.line(LISTENING))[1]
        self.url = f"http://127.0.0.1:{port}/"
        acceptor, dialer = self.accept(*RELAYED), self.dial(*RELAYED)
        await self.connected("relay", acceptor, dialer)

    async def test_twist(self) -> None:
        """It says what is wrong, and no traceback."""
        for arguments in (("--drain", "nan"), ("--lobby-timeout=-1",), ("dial", "--timeout=x")):
            program = self.twist_program("rdv", *arguments)
            self.assertNotEqual(await program.ended, 0)
            self.assertNotIn(b"Traceback", program.stdout + program.stderr)
