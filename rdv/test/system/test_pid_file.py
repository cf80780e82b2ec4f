"""
The PID file, and whether it can be trusted.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rdv._system.pid_file import PidFile, running
from rdv.errors import RdvError


class PidFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.file = PidFile(str(self.path))
        self.addCleanup(self.file.remove)

    def test_written(self) -> None:
        """A number in a line, as others want it; no other file is left."""
        self.assertIsNone(running(str(self.path)))
        self.file.check()
        self.file.write()
        self.assertEqual(self.path.read_text(), f"{os.getpid()}\n")
        self.assertEqual(running(str(self.path)), os.getpid())
        self.assertEqual([p.name for p in self.path.parent.iterdir()], [self.path.name])
        self.file.remove()
        self.assertFalse(self.path.exists())

    def test_written_again(self) -> None:
        """It is another file then, so that who looks at it knows."""
        self.file.write()
        before = self.path.stat().st_ino
        self.file.write()
        self.assertNotEqual(self.path.stat().st_ino, before)
        self.assertEqual(running(str(self.path)), os.getpid())

    def test_left(self) -> None:
        """The number of a process that has ended may be another's by now."""
        self.path.write_text(f"{os.getppid()}\n")
        self.assertIsNone(running(str(self.path)))
        self.file.check()

    def test_of_a_successor(self) -> None:
        """It is not taken away."""
        self.file.write()
        successor = PidFile(str(self.path))
        successor.write()
        self.file.remove()
        self.assertEqual(running(str(self.path)), os.getpid())
        successor.remove()
        self.assertFalse(self.path.exists())

    def test_of_another(self) -> None:
        """Somebody who runs."""
        self.file.write()
        with self.path.open("r+") as file:
            file.write(f"{os.getppid()}\n")
        error = self.assertRaises(RdvError, PidFile(str(self.path)).check)
        self.assertEqual(str(error), f"{self.path}: process {os.getppid()} is running")

    def test_nonsense(self) -> None:
        self.file.write()
        self.path.write_text("nonsense\n")
        error = self.assertRaises(RdvError, running, str(self.path))
        self.assertEqual(str(error), f"{self.path}: not a process ID")

    def test_no_space(self) -> None:
        """What was there stays, and nothing else does."""
        self.file.write()

        def full(fd: int, data: bytes) -> int:
            written.append(fd)
            raise OSError(errno.ENOSPC, "No space left on device")

        written: list[int] = []
        self.patch(os, "write", full)
        error = self.assertRaises(RdvError, self.file.write)
        self.assertEqual(str(error), f"{self.path}: No space left on device")
        self.assertEqual(running(str(self.path)), os.getpid())
        self.assertEqual([p.name for p in self.path.parent.iterdir()], [self.path.name])
        self.assertRaises(OSError, os.fstat, written[0])

    def test_impossible(self) -> None:
        nowhere = PidFile(str(self.path / "rdv.pid"))
        error = self.assertRaises(RdvError, nowhere.write)
        self.assertEqual(str(error), f"{self.path}/rdv.pid: No such file or directory")
