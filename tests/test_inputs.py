"""
An stdin from which nothing can be had.
"""

from __future__ import annotations

import os
import pty

from tests.processes import PYTHON, Program
from tests.servers import CONNECTED, DIRECT, RELAYED, SystemTestCase

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")


class UnreadableTests(SystemTestCase):
    """One that cannot be read."""

    async def check_receives(self, acceptor: Program, *said: str, path: str = P2P) -> None:
        """It gets what a dialer sends, and both end well."""
        dialer = self.dial(*(DIRECT if path == P2P else RELAYED))
        dialer.write(b"all of it")
        dialer.close_stdin()
        await self.assert_ended(acceptor, 0, *said, path)
        await self.assert_ended(dialer, 0, path)
        self.assertEqual(acceptor.stdout, b"all of it")

    async def test_nohup(self) -> None:
        """It takes the terminal away, and leaves a descriptor that can only be written to."""
        await self.serve()
        person, terminal = pty.openpty()
        for fd in (person, terminal):
            self.addCleanup(os.close, fd)
        for path, options in ((P2P, DIRECT), (RELAY, RELAYED)):
            command = (PYTHON, "-m", "rdv", "accept", *options, self.url, "a token")
            acceptor = Program(self, "/usr/bin/nohup", *command, stdin=terminal)
            await self.check_receives(acceptor, "/usr/bin/nohup: .*", path=path)

    async def test_write_only(self) -> None:
        """A file, and the pipe that is stdout as well, the reader of which sees the end."""
        await self.serve()
        write_only = os.O_WRONLY | os.O_CREAT
        acceptor = self.accept(*DIRECT, stdin=self.opened(self.mktemp(), write_only))
        await self.check_receives(acceptor)
        acceptor = Program(
            self,
            "/bin/sh",
            "-c",
            'exec "$@" 0>&1',
            "sh",
            *(PYTHON, "-m", "rdv", "accept", *DIRECT, self.url, "a token"),
        )
        await self.check_receives(acceptor)

    async def test_twist(self) -> None:
        """As a service."""
        await self.serve()
        log = os.path.abspath(self.mktemp())
        stdin = self.opened(os.devnull, os.O_WRONLY)
        acceptor = self.twist_program(
            "rdv", "accept", "--relay", self.url, "a token", log=log, stdin=stdin
        )
        dialer = self.dial(*RELAYED)
        dialer.write(b"all of it")
        dialer.close_stdin()
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(await acceptor.ended, 0)
        self.assertEqual(acceptor.stdout, b"all of it")


class UnreadTests(SystemTestCase):
    """``-n``, as with ssh."""

    async def test_loop(self) -> None:
        """What the shell reads from its stdin is left to it."""
        await self.serve()
        list_ = self.opened(self.file_of(b"token-one\ntoken-two\n"))
        command = (PYTHON, "-m", "rdv", "accept", "-n", *DIRECT, self.url)
        shell = 'while read token; do "$@" $token; done'
        loop = Program(self, "/bin/sh", "-c", shell, "sh", *command, stdin=list_)
        for token in ("token-one", "token-two"):
            dialer = self.dial(*DIRECT, token=token)
            dialer.write(token.encode())
            dialer.close_stdin()
            await self.assert_ended(dialer, 0, P2P)
        await self.assert_ended(loop, 0, P2P, P2P)
        self.assertEqual(loop.stdout, b"token-onetoken-two")

    async def test_open(self) -> None:
        """It need not end, or be anything that can be read."""
        await self.serve()
        acceptor = self.accept(*DIRECT)
        dialer = self.dial("-n", *DIRECT)
        acceptor.write(b"all of it")
        acceptor.close_stdin()
        await self.assert_ended(dialer, 0, P2P)
        await self.assert_ended(acceptor, 0, P2P)
        self.assertEqual(dialer.stdout, b"all of it")
