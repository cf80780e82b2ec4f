"""
Terminals on which there is not much room, or that have nothing but lines.
"""

from __future__ import annotations

import os

from tests.processes import Program
from tests.servers import DIRECT, MEGABYTE, SystemTestCase
from tests.terminals import Screen


class NarrowTests(SystemTestCase):
    async def test_check(self) -> None:
        """Nothing is wider than the terminal."""
        screen = Screen(self, 49)
        program = self.rdv("check", *DIRECT, "--no-throughput", stdout=screen.fd, stderr=screen.fd)
        screen.let_go()
        self.assertEqual(await program.ended, 0)
        await screen.closed
        self.assertIn("To judge its network", screen.text)
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
