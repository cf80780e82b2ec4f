"""
A terminal to draw on, and a pipe that perhaps nobody reads.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios

from twisted.trial.unittest import SynchronousTestCase

from rdv._system.terminal import Outlet, columns, may_draw, page_columns


class TerminalTests(SynchronousTestCase):
    """How wide it is, and whether it is ours."""

    def setUp(self) -> None:
        self.person, self.fd = pty.openpty()
        for fd in (self.person, self.fd):
            self.addCleanup(os.close, fd)

    def test_columns(self) -> None:
        """As it is now; where that is not known, and of no terminal, as most are."""
        null = os.open(os.devnull, os.O_WRONLY)
        self.addCleanup(os.close, null)
        self.assertEqual((columns(self.fd), columns(null)), (80, 80))
        for wanted in (100, 40):
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, wanted, 0, 0))
            self.assertEqual(columns(self.fd), wanted)

    def test_page(self) -> None:
        """What is no terminal is a page; whoever has set COLUMNS is right."""
        environment: dict[str, str] = {}
        self.patch(os, "environ", environment)
        null = os.open(os.devnull, os.O_WRONLY)
        self.addCleanup(os.close, null)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 49, 0, 0))
        self.assertEqual((page_columns(self.fd), page_columns(null)), (49, 100))
        environment["COLUMNS"] = "60"
        self.assertEqual((page_columns(self.fd), page_columns(null)), (60, 60))

    def test_may_draw(self) -> None:
        """Not after ^S, until ^Q, and not while it belongs to another group of processes."""
        self.assertTrue(may_draw(self.fd))
        termios.tcflow(self.fd, termios.TCOOFF)
        self.assertFalse(may_draw(self.fd))
        termios.tcflow(self.fd, termios.TCOON)
        self.assertTrue(may_draw(self.fd))
        self.patch(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
        self.assertFalse(may_draw(self.fd))


class OutletTests(SynchronousTestCase):
    """A pipe, which blocks: a test that waits for it fails by its time limit."""

    def setUp(self) -> None:
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.file = os.fdopen(writer, "w")
        self.addCleanup(self.file.close)
        self.missing: list[int] = []
        self.outlet = Outlet(self.file, self.missing.append)

    def read(self, size: int = 1 << 20) -> bytes:
        """So much of what is in it."""
        return os.read(self.reader, size)

    def fill(self) -> int:
        """Write lines of a piece until one more is dropped; how many there are."""
        count = 0
        while not self.outlet._skipped:
            self.outlet.write("x" * 1023 + "\n")
            count += 1
        return count - 1

    def test_nobody_reads(self) -> None:
        """What is dropped is counted, and told once."""
        filled = self.fill()
        for _ in range(9):
            self.outlet.write("dropped\n")
        self.assertEqual(self.missing, [])
        self.assertEqual(len(self.read()), filled * 1024)
        self.outlet.write("later\n")
        self.outlet.write("and later\n")
        self.assertEqual((self.read(), self.missing), (b"later\nand later\n", [10]))

    def test_missing_is_logged(self) -> None:
        """By the same way, which may be full again behind that."""

        def log(count: int) -> None:
            self.outlet.write(f"{count} missing\n")
            os.write(self.file.fileno(), b"." * (1 << 16))

        self.outlet = Outlet(self.file, log)
        self.fill()
        self.read()
        os.set_blocking(self.file.fileno(), False)
        self.outlet.write("later\n")
        self.assertTrue(self.read().startswith(b"1 missing\n...."))
        self.assertEqual(self.outlet._skipped, 1)

    def test_long_line(self) -> None:
        """Longer than the pipe: it is cut, and the next one begins a line."""
        self.outlet.write("x" * (1 << 20) + "\n")
        cut = self.read()
        self.assertEqual(set(cut), {ord("x")})
        self.assertGreater(len(cut), 4096)
        self.outlet.write("next\n")
        self.assertEqual((self.read(), self.missing), (b"\nnext\n", [1]))

    def test_nobody_will_ever_read(self) -> None:
        """No reason to fail."""
        reader, writer = os.pipe()
        os.close(reader)
        file = os.fdopen(writer, "w")
        outlet = Outlet(file, self.missing.append)
        outlet.write("lost\n")
        self.assertRaises(BrokenPipeError, file.close)

    def test_no_file(self) -> None:
        """As in a test."""
        text = io.StringIO()
        outlet = Outlet(text, self.missing.append)
        outlet.write("line\n")
        outlet.flush()
        self.assertEqual(text.getvalue(), "line\n")
