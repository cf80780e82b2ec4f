"""
What is reloaded, and what happens if something cannot be read.
"""

from __future__ import annotations

from functools import partial

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.lifecycle.reloading import reload_all


class ReloadTests(SynchronousTestCase):
    def reload(self, *errors: Exception | None) -> list[tuple[str, str]]:
        """What is logged when reading goes like that; each is read."""
        read: list[int] = []

        def one(number: int, error: Exception | None) -> None:
            read.append(number)
            if error is not None:
                raise error

        with capturedLogs() as events:
            reload_all([partial(one, number, error) for number, error in enumerate(errors)])
        self.assertEqual(read, list(range(len(errors))))
        return [(event["log_level"].name, formatEvent(event)) for event in events]

    def test_all(self) -> None:
        self.assertEqual(self.reload(None, None), [("info", "reloaded")])
        self.assertEqual(self.reload(), [("info", "reloaded")])

    def test_said_elsewhere(self) -> None:
        """Where somebody else says so, only failures are of interest."""
        with capturedLogs() as events:
            reload_all([lambda: None], LogLevel.debug)
        self.assertEqual([event["log_level"] for event in events], [LogLevel.debug])

    def test_bad_file(self) -> None:
        """One line, which is shown even where only failures are; the others are read."""
        said = "not reloaded, keeping what was read before: keys.txt: line 3 is no key"
        found = self.reload(None, RdvError("keys.txt: line 3 is no key"), None)
        self.assertEqual(found, [("critical", said)])

    def test_fault(self) -> None:
        """A mistake of our own does not keep the others from it either."""
        ((level, _),) = self.reload(None, ZeroDivisionError(), None)
        self.assertEqual(level, "critical")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
