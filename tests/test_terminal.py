"""
A user at a terminal: as one end of a stream, with a shell that has jobs, in a narrow terminal, and
in one without escape sequences.
"""

from __future__ import annotations

import os
import pty
import termios
from shlex import quote
from typing import Any

from twisted.internet.threads import deferToThread

from tests.processes import PYTHON, Program
from tests.servers import DIRECT, MEGABYTE, P2P, SystemTestCase, noise
from tests.terminals import Screen, shell_at

#: What the shell prints when it brings a job to the foreground: the whole command.
FOREGROUND = r"\$ fg; echo status \$\?\s+\S+ -m rdv accept"


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


class JobTests(SystemTestCase):
    """``rdv accept ... >file &`` at a terminal."""

    async def test_background(self) -> None:
        """
        It leaves the keys to the shell, and gets what comes; in the foreground it has the keys, and
        after ^Z and ``bg`` it is as before.
        """
        await self.serve()
        received = os.path.abspath(self.mktemp())
        os.mkfifo(received)
        file = Program(self, "/bin/cat", received)
        screen = Screen(self)
        shell = shell_at(self, screen)
        command = (PYTHON, "-m", "rdv", "accept", *DIRECT, self.url, "a token")
        screen.type(f"{' '.join(map(quote, command))} >{quote(received)} &\n")
        dialer = self.dial(*DIRECT)
        await screen.shows(P2P)
        for number in ("1", "2"):
            screen.type(f"echo typed $(({number} + 10))\n")
            await screen.shows(f"typed 1{number}")
        dialer.write(b"one")
        await file.received(3)
        screen.type("jobs; echo list$((1 + 2))\n")
        self.assertNotIn("Stopped", await screen.shows("list3"))
        screen.type("fg; echo status $?\n")
        await screen.shows(FOREGROUND)
        screen.type("hello\n")
        self.assertEqual(await dialer.received(6), b"hello\n")
        screen.type("\x1a")
        await screen.shows("Stopped")
        screen.type("bg; echo on$((1 + 2))\n")
        await screen.shows("on3")
        screen.type("echo typed $((3 + 10))\n")
        await screen.shows("typed 13")
        dialer.write(b"two")
        await file.received(6)
        screen.type("fg; echo status $?\n")
        await screen.shows(f"{FOREGROUND}(?s:.)*{FOREGROUND}")
        screen.type("bye\n")
        self.assertEqual(await dialer.received(10), b"hello\nbye\n")
        screen.type("\x04")
        dialer.write(b"three")
        dialer.close_stdin()
        await self.assert_ended(dialer, 0, P2P)
        await screen.shows("status 0")
        self.assertEqual(await file.received(11), b"onetwothree")
        screen.type("exit\n")
        await shell.ended


class NarrowTests(SystemTestCase):
    async def test_check(self) -> None:
        """Nothing is wider than the terminal."""
        screen = Screen(self, 49)
        program = self.rdv("check", *DIRECT, "--no-throughput", stdout=screen.fd, stderr=screen.fd)
        screen.let_go()
        self.assertEqual(await program.ended, 0)
        await screen.closed
        self.assertIn("To examine the network", screen.text)
        self.assertLessEqual(max(map(len, screen.lines())), 49, screen.text)


class DumbTests(SystemTestCase):
    """``TERM=dumb``, as in an editor."""

    def on(self, screen: Screen, *arguments: str, stdin: int, stdout: int) -> Program:
        return self.rdv(
            *arguments, env={"TERM": "dumb"}, stdin=stdin, stdout=stdout, stderr=screen.fd
        )

    async def test_commands(self) -> None:
        """No escape sequences: a file, with a picture of how it got there, and a check."""
        await self.serve()
        screen = Screen(self)
        null = self.opened(os.devnull, os.O_RDWR)
        path = self.file_of(b"")
        os.truncate(path, 8 * MEGABYTE)
        source = self.opened(path)
        for command in (
            ("accept", "--explain", *DIRECT, self.url, "a token"),
            ("dial", "--explain", *DIRECT, self.url, "a token"),
            ("check", "--no-throughput", *DIRECT, self.url),
        ):
            dials = command[0] == "dial"
            stdout = screen.fd if command[0] == "check" else null
            program = self.on(screen, *command, stdin=source if dials else null, stdout=stdout)
            if command[0] != "accept":
                self.assertEqual(await program.ended, 0, screen.text)
        screen.let_go()
        await screen.closed
        self.assertIn("chosen", screen.text)
        self.assertIn("Connected to the server", screen.text)
        self.assertNotIn("\x1b", screen.text)
