"""A terminal that something is drawn on."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios

from twisted.trial.unittest import SynchronousTestCase

from rdv._system.terminal import columns, may_draw, page_columns


class TerminalTests(SynchronousTestCase):
    """How wide it is, and whether it is ours."""

    def setUp(self) -> None:
        self.person, self.fd = pty.openpty()
        for fd in (self.person, self.fd):
            self.addCleanup(os.close, fd)

    def test_columns(self) -> None:
        """As it is now; where that is not known, as most are."""
        self.assertEqual(columns(self.fd), 80)
        for wanted in (100, 40):
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, wanted, 0, 0))
            self.assertEqual(columns(self.fd), wanted)

    def test_no_terminal(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        self.addCleanup(os.close, null)
        self.assertEqual(columns(null), 80)

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

    def test_stopped(self) -> None:
        """^S, until ^Q."""
        self.assertTrue(may_draw(self.fd))
        termios.tcflow(self.fd, termios.TCOOFF)
        self.assertFalse(may_draw(self.fd))
        termios.tcflow(self.fd, termios.TCOON)
        self.assertTrue(may_draw(self.fd))

    def test_background(self) -> None:
        """It belongs to another group of processes."""
        self.patch(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
        self.assertFalse(may_draw(self.fd))
