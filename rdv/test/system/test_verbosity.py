"""
Events that are not shown need not be created.
"""

from __future__ import annotations

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.verbosity import is_shown, show_from


class VerbosityTests(SynchronousTestCase):
    """The level that a program has set."""

    def setUp(self) -> None:
        self.addCleanup(show_from, "debug")

    def shown(self) -> list[str]:
        """The names of the levels that are, from the lowest."""
        return [each.name for each in LogLevel.iterconstants() if is_shown(each.name)]

    def test_library(self) -> None:
        """Whoever embeds us sees everything."""
        self.assertEqual(self.shown(), ["debug", "info", "warn", "error", "critical"])

    def test_program(self) -> None:
        """The last word counts."""
        for level, shown in (
            ("critical", ["critical"]),
            ("info", ["info", "warn", "error", "critical"]),
            (LogLevel.error, ["error", "critical"]),
            ("debug", ["debug", "info", "warn", "error", "critical"]),
        ):
            show_from(level)
            self.assertEqual(self.shown(), shown)

    def test_unknown(self) -> None:
        """Then nothing changes."""
        show_from("error")
        error = self.assertRaises(ValueError, show_from, "warning")
        known = "debug, info, warn, error, critical"
        self.assertEqual(str(error), f"no log level 'warning': use one of {known}")
        self.assertEqual(self.shown(), ["error", "critical"])
