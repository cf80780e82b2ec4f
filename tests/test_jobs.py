"""
Commands as jobs of a shell: in the background, and back in the foreground.
"""

from __future__ import annotations

import os
from shlex import quote

from tests.processes import PYTHON, Program
from tests.servers import CONNECTED, DIRECT, SystemTestCase
from tests.terminals import Screen, shell_at

#: What the shell says when it has let a job have the keys: all of its command.
FOREGROUND = r"\$ fg; echo status \$\?\s+\S+ -m rdv accept"


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
        await screen.shows(CONNECTED.format("p2p"))
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
        await self.assert_ended(dialer, 0, CONNECTED.format("p2p"))
        await screen.shows("status 0")
        self.assertEqual(await file.received(11), b"onetwothree")
        screen.type("exit\n")
        await shell.ended
