"""
What ``rdv dial`` and ``rdv accept`` show on a terminal during a transfer.

The receiver's stdout is a pipe that the test has not yet begun to read, so a transfer lasts until
the test has seen enough.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.processes import Program
from tests.servers import DIRECT, MEGABYTE, P2P, SAID_BY_THE_WAY, SystemTestCase
from tests.terminals import Screen

SIZE = 64 * MEGABYTE
#: 64 MiB, of which the kernel's buffers take some.
KNOWN = r"sent +\d+%\|.*\| [\d.]+[kM]?B of 67\.1MB, [\d.]+[kM]?B/s, (\d\d:\d\d|\?) left"
RECEIVED = r"received [\d.]+[kM]?B, [\d.]+[kM]?B/s, \d\d:\d\d"
SENT = r"SENT: 67\.1MB in [\d.]+s, [\d.]+[kMG]B/s"
NOTICE = "NOTICE: .* not encrypted.*\n"


class ProgressTestCase(SystemTestCase):
    """A transfer that continues when the test lets it."""

    async def setUp(self) -> None:  # type: ignore[override]
        await self.serve()
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.screen = Screen(self, 100)

    def receive(self, *options: str, stderr: int | None = None) -> Program:
        """The receiver; it has nothing to say."""
        null = self.opened(os.devnull)
        receiver = self.rdv(
            "accept",
            *(*DIRECT, *options, self.url, "a token"),
            stdin=null,
            stdout=self.writer,
            stderr=stderr,
            env={"TERM": "xterm"},
        )
        os.close(self.writer)
        return receiver

    def send(self, *options: str, stdin: int, env: dict[str, str] | None = None) -> Program:
        """The sender, on the terminal."""
        return self.rdv(
            "dial",
            *(*DIRECT, *options, self.url, "a token"),
            stdin=stdin,
            stdout=self.opened(os.devnull, os.O_WRONLY),
            stderr=self.screen.fd,
            env={"TERM": "xterm", "PYTHONIOENCODING": "utf-8", **(env or {})},
        )

    def file(self) -> int:
        path = self.file_of(b"")
        os.truncate(path, SIZE)
        return self.opened(path)

    async def drain(self) -> None:
        """Let the transfer go on, to its end: all has come."""
        count = Program(self, "/usr/bin/wc", "-c", stdin=self.reader)
        self.assertEqual(await count.ended, 0)
        self.assertEqual(int(count.stdout), SIZE)

    async def assert_shown(self, *said: str) -> None:
        """What stands on the terminal in the end: these lines, and nothing else."""
        self.screen.let_go()
        await self.screen.closed
        lines = [line for line in self.screen.lines() if not SAID_BY_THE_WAY.match(line)]
        self.assertEqual(len(lines), len(said) + 1, lines)
        self.assertEqual(lines[-1], "")
        for line, pattern in zip(lines, said, strict=False):
            self.assertRegex(line, f"^{pattern}$")


class BarTests(ProgressTestCase):
    """There is a bar."""

    async def test_file(self) -> None:
        """Percentage, rate and time left; at its end a summary in its place."""
        receiver = self.receive()
        sender = self.send(stdin=self.file())
        await self.screen.shows(KNOWN)
        await self.drain()
        self.assertEqual([await sender.ended, await receiver.ended], [0, 0])
        await self.assert_shown(P2P, SENT)
        self.assertRegex(receiver.stderr.decode(), f"^{NOTICE}{P2P}\n$")
        for drawn in self.screen.drawn():
            self.assertRegex(drawn, f"^{KNOWN}$")
            self.assertEqual(len(drawn), 99)

    async def test_pipes(self) -> None:
        """Bytes, rate and time, on each side; nobody knows how much is to come."""
        other = Screen(self, 100)
        receiver = self.receive(stderr=other.fd)
        reader, writer = os.pipe()
        cat = Program(self, "/bin/cat", stdin=self.file(), stdout=writer)
        os.close(writer)
        sender = self.send(stdin=reader)
        os.close(reader)
        await self.screen.shows(r"sent [\d.]+[kM]?B, [\d.]+[kM]?B/s, \d\d:\d\d")
        await other.shows(RECEIVED)
        await self.drain()
        for program in (cat, sender, receiver):
            self.assertEqual(await program.ended, 0)
        self.assertNotIn("%", self.screen.text)
        await self.assert_shown(P2P, SENT)
        other.let_go()
        await other.closed
        last = r"RECEIVED: 67\.1MB in [\d.]+s, [\d.]+[kMG]B/s"
        self.assertRegex("\n".join(other.lines()), f"^{NOTICE}{P2P}\n{last}\n$")

    async def test_resized(self) -> None:
        """It has the width of the terminal at any time, and says less where there is no room."""
        self.receive()
        sender = self.send(stdin=self.file())
        await self.screen.shows(KNOWN)
        self.screen.resize(120)
        await self.screen.shows(r"\rsent[^\r\n\x1b]{115}\x1b\[K")
        self.screen.resize(49)
        await self.screen.shows(r"\rsent[^\r\n\x1b]{44}\x1b\[K")
        self.screen.resize(20)
        await self.screen.shows(r"\r *\d+%, (\d\d:\d\d|\?) left\x1b\[K")
        await self.drain()
        self.assertEqual(await sender.ended, 0)

    async def test_broken(self) -> None:
        """The reason has a line of its own; what has gone out stands where the bar was."""
        receiver = self.receive()
        sender = self.send(stdin=self.file())
        await self.screen.shows(KNOWN)
        receiver.signal("KILL")
        self.assertEqual(await sender.ended, 3)
        await self.assert_shown(P2P, "rdv: the stream broke: .+", r"SENT: [\d.]+[kM]?B in .*")

    async def test_log(self) -> None:
        """Lines of ``-v`` do not stand behind the bar."""
        self.receive()
        sender = self.send("-v", stdin=self.file())
        await self.screen.shows(KNOWN)
        await self.drain()
        self.assertEqual(await sender.ended, 0)
        self.screen.let_go()
        await self.screen.closed
        for line in self.screen.lines():
            self.assertRegex(line, r"^(\d{4}-.*|NOTICE: .*|CONNECTED: .*|SENT: .*|)$")


class NoBarTests(ProgressTestCase):
    """There is no bar. The receiver has one, which shows that there was enough time for one."""

    async def check_silent(self, sender: Program, screen: Screen) -> None:
        """Wait until the other side has shown something, then let all go on."""
        await screen.shows(r"received [\d.]+[kM]?B, [\d.]+[kM]?B/s, 00:01")
        await self.drain()
        self.assertEqual(await sender.ended, 0, sender.report())

    async def test_no_terminal(self) -> None:
        """What a script reads is what it was."""
        self.receive(stderr=self.screen.fd)
        sender = self.dial(*DIRECT, stdin=self.file())
        await self.check_silent(sender, self.screen)
        await self.assert_ended(sender, 0, P2P)

    async def test_program(self) -> None:
        """A pipe on each side, as ssh has it for its ``ProxyCommand``."""
        other = Screen(self)
        self.receive(stderr=other.fd)
        sender = self.rdv("dial", *DIRECT, self.url, "a token", stderr=self.screen.fd)
        sender.write(bytes(SIZE))
        sender.close_stdin()
        await self.check_silent(sender, other)
        await self.assert_shown(P2P)

    async def test_not_installed(self) -> None:
        """Without the library there is no bar and no error, and ``-v`` says what to install."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "tqdm.py").write_text("raise ImportError('blocked by a test')")
        other = Screen(self)
        self.receive(stderr=other.fd)
        sender = self.send("-v", stdin=self.file(), env={"PYTHONPATH": str(folder)})
        await self.check_silent(sender, other)
        self.screen.let_go()
        await self.screen.closed
        self.assertIn("pip install tqdm", self.screen.text)
        self.assertNotIn("%|", self.screen.text)
        self.assertNotIn("Traceback", self.screen.text)
        self.assertRegex(self.screen.text, SENT)
