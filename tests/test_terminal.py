"""
A person at a terminal as one end of a stream.
"""

from __future__ import annotations

import os
import pty
import termios
from typing import Any

from twisted.internet.threads import deferToThread

from tests.servers import DIRECT, MEGABYTE, P2P, SystemTestCase, noise


class TerminalTests(SystemTestCase):
    """stdin, or stdout too, is a terminal."""

    def terminal(self) -> tuple[int, int]:
        """What the person has and what the program gets, without echo."""
        person, program = pty.openpty()
        for fd in (person, program):
            self.addCleanup(os.close, fd)
        attributes: list[Any] = termios.tcgetattr(program)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(program, termios.TCSANOW, attributes)
        return person, program

    async def test_chat(self) -> None:
        """
        Lines go over as they are typed, ^D ends our direction only, and what the peer sends is
        shown. The shell and others have the same terminal: it stays blocking all the time.
        """
        await self.serve()
        person, terminal = self.terminal()
        acceptor = self.accept(*DIRECT, stdin=terminal, stdout=terminal)
        dialer = self.dial(*DIRECT)
        await self.connected("p2p", acceptor, dialer)
        os.write(person, b"hello\n")
        self.assertEqual(await dialer.received(6), b"hello\n")
        self.assertTrue(os.get_blocking(terminal))
        dialer.write(b"hi\n")
        self.assertEqual(await deferToThread(os.read, person, 100), b"hi\n")
        os.write(person, b"bye\n\x04")
        self.assertEqual(await dialer.received(10), b"hello\nbye\n")
        dialer.write(b"the rest\n")
        dialer.close_stdin()
        await self.assert_ended(acceptor, 0, P2P)
        await self.assert_ended(dialer, 0, P2P)
        self.assertEqual(os.read(person, 100), b"the rest\n")
        self.assertTrue(os.get_blocking(terminal))

    async def test_peer_ends(self) -> None:
        """When the peer has ended, so does the command: there is nobody left to talk to."""
        await self.serve()
        content = noise(1, MEGABYTE)
        acceptor = self.accept(*DIRECT, stdin=self.terminal()[1])
        dialer = self.dial(*DIRECT, stdin=self.opened(self.file_of(content)))
        await self.assert_ended(acceptor, 0, P2P)
        await self.assert_ended(dialer, 0, P2P)
        self.assertEqual(acceptor.stdout, content)

    async def test_hung_up(self) -> None:
        """A terminal that is gone is the end of what is sent, and no crash."""
        await self.serve()
        person, stdin = pty.openpty()
        acceptor = self.accept(*DIRECT, stdin=stdin)
        os.close(stdin)
        dialer = self.dial(*DIRECT)
        await self.connected("p2p", acceptor, dialer)
        os.write(person, b"last\n")
        await dialer.received(5)
        os.close(person)
        dialer.close_stdin()
        await self.assert_ended(acceptor, 0, P2P)
        await self.assert_ended(dialer, 0, P2P)
