"""
A sender whose peer has nothing to say ends with 0 when the receiver has everything, and only then.
"""

from __future__ import annotations

import os

from tests.processes import PYTHON, Program
from tests.servers import CONNECTED, DIRECT, MEGABYTE, RELAYED, SystemTestCase, noise

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")
PEER = "the stream broke: the peer broke the connection off(, or the relay did)?"


class ReceiverFailsTests(SystemTestCase):
    """What was sent is all with the receiver's system, or with the receiver, when it fails."""

    async def check_cannot_write(self, acceptor: Program, size: int, said: str) -> None:
        """Both fail."""
        options = DIRECT if said == P2P else RELAYED
        dialer = self.dial(*options, stdin=self.opened(self.file_of(noise(1, size))))
        await self.assert_ended(acceptor, 3, said, "the stream broke: cannot write .*")
        await self.assert_ended(dialer, 3, said, PEER)

    async def check_full_device(self, said: str, *options: str) -> None:
        """One byte, and that is one too many."""
        await self.serve()
        null, full = self.opened(os.devnull), self.opened("/dev/full", os.O_WRONLY)
        await self.check_cannot_write(self.accept(*options, stdin=null, stdout=full), 1, said)

    async def test_full_device_direct(self) -> None:
        await self.check_full_device(P2P, *DIRECT)

    async def test_full_device_relayed(self) -> None:
        await self.check_full_device(RELAY, *RELAYED)

    async def check_full_disk(self, said: str, *options: str) -> None:
        """Less than what the systems hold on the way, and more than there is room for."""
        await self.serve()
        command = (PYTHON, "-m", "rdv", "accept", *options, self.url, "a token")
        script = 'ulimit -f 1024; exec "$@" </dev/null'
        _, target = self.created()
        acceptor = Program(self, "/bin/sh", "-c", script, "sh", *command, stdout=target)
        await self.check_cannot_write(acceptor, 3_300_000, said)

    async def test_full_disk_direct(self) -> None:
        await self.check_full_disk(P2P, *DIRECT)

    async def test_full_disk_relayed(self) -> None:
        await self.check_full_disk(RELAY, *RELAYED)

    async def check_killed(self, path: str, *options: str) -> None:
        """What it holds, as its reader sleeps, is lost."""
        await self.serve()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        acceptor = self.accept("--json", *options, stdin=self.opened(os.devnull), stdout=writer)
        os.close(writer)
        dialer = self.dial(*options, stdin=self.opened(self.file_of(noise(2, 100_000))))
        await acceptor.line('"event": "bytes".*"received": [1-9]')
        acceptor.signal("KILL")
        await self.assert_ended(dialer, 3, CONNECTED.format(path), PEER)

    async def test_killed_direct(self) -> None:
        await self.check_killed("p2p", *DIRECT)

    async def test_killed_relayed(self) -> None:
        await self.check_killed("relay", *RELAYED)


class ReaderLeavesTests(SystemTestCase):
    """The reader of stdout leaves when it has all, before the end has come."""

    async def check(self, said: str, *options: str) -> None:
        """Nobody has lost anything, and nobody says so."""
        await self.serve()
        reader, writer = os.pipe()
        acceptor = self.accept(*options, stdin=self.opened(os.devnull), stdout=writer)
        os.close(writer)
        dialer = self.dial(*options)
        # So much that most of it goes past the transport.
        content = noise(3, MEGABYTE)
        head = Program(self, "/usr/bin/head", "-c", str(len(content)), stdin=reader)
        os.close(reader)
        dialer.write(content)
        self.assertEqual(await head.ended, 0)
        self.assertEqual(head.stdout, content)
        dialer.close_stdin()
        await self.assert_ended(acceptor, 0, said)
        await self.assert_ended(dialer, 0, said)

    async def test_direct(self) -> None:
        await self.check(P2P, *DIRECT)

    async def test_relayed(self) -> None:
        await self.check(RELAY, *RELAYED)

    async def test_more_comes(self) -> None:
        """Then something is lost."""
        await self.serve()
        reader, writer = os.pipe()
        acceptor = self.accept(*DIRECT, stdout=writer)
        os.close(writer)
        dialer = self.dial(*DIRECT)
        dialer.write(b"x")
        head = Program(self, "/usr/bin/head", "-c", "1", stdin=reader)
        os.close(reader)
        self.assertEqual(await head.ended, 0)
        dialer.write(b"y")
        await self.assert_ended(acceptor, 3, P2P, "the stream broke: .*broken pipe")
        await self.assert_ended(dialer, 3, P2P, PEER)


class OneEndForBothTests(SystemTestCase):
    """The peer, or something between, closes both directions at the first end: nothing is lost."""

    async def check(self, acceptor: Program, content: bytes, dialer: Program) -> None:
        """It is."""
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0], acceptor.report())
        self.assertTrue(acceptor.stdout == content)

    async def test_relay(self) -> None:
        """The original's server."""
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0")
        self.url = f"http://127.0.0.1:{(await server.line(r':([0-9]+)$'))[1]}/rdv"
        content = noise(4, 5_000_000)
        for sends_late in (False, True):
            acceptor = self.accept(*RELAYED, stdin=self.opened(os.devnull))
            stdin = None if sends_late else self.opened(self.file_of(content))
            dialer = self.dial(*RELAYED, stdin=stdin)
            await self.connected("relay", acceptor, dialer)
            if sends_late:  # an end of the acceptor's would have come through
                dialer.write(content)
                dialer.close_stdin()
            await self.check(acceptor, content, dialer)

    async def test_peer(self) -> None:
        """The original's client, in both roles."""
        await self.serve()
        content = noise(5, 5_000_000)
        for role, ours in (("dial", "accept"), ("accept", "dial")):
            receiver = self.rdv(ours, *DIRECT, self.url, "t", stdin=self.opened(os.devnull))
            options = (role, *DIRECT, "--full-close", self.url, "t")
            stdin = self.opened(self.file_of(content))
            sender = Program(self, PYTHON, "-m", "tests.plain_peer", *options, stdin=stdin)
            await self.check(receiver, content, sender)
