"""
Replacing a server, which is a double: its PID file, and the effect of the signal.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console
from rdv._system.pid_file import PidFile
from rdv.commands.serve import replace
from rdv.errors import RdvError


class ReplaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.path = os.path.abspath(self.mktemp())
        self.file = PidFile(self.path)
        self.addCleanup(self.file.remove)
        self.signals: list[tuple[int, int]] = []
        self.patch(os, "kill", lambda *said: self.signals.append(said))

    def replace(self) -> Deferred[int]:
        """Do."""
        console: Any = Console()
        return Deferred.fromCoroutine(replace(self.clock, self.path, console))

    def test_nobody(self) -> None:
        error = self.failureResultOf(self.replace(), RdvError)
        self.assertEqual(error.getErrorMessage(), f"{self.path}: no server is running")

    def test_goes_on(self) -> None:
        """It writes its file anew."""
        self.file.write()
        replacing = self.replace()
        self.assertEqual(self.signals, [(os.getpid(), signal.SIGUSR2)])
        self.clock.advance(1)
        self.assertNoResult(replacing)
        self.file.write()
        self.clock.advance(1)
        error = self.failureResultOf(replacing, RdvError)
        self.assertIn("did not start", error.getErrorMessage())

    def test_says_nothing(self) -> None:
        """It is stopped, or cannot write."""
        self.file.write()
        replacing = self.replace()
        self.clock.pump([1.0] * 89)
        self.assertNoResult(replacing)
        self.clock.pump([1.0] * 2)
        error = self.failureResultOf(replacing, RdvError)
        self.assertIn("does not report the result", error.getErrorMessage())
        self.assertEqual(self.clock.getDelayedCalls(), [])
