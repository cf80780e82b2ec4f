"""What a worker logs, in the log of its parent."""

from __future__ import annotations

from typing import cast

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    formatEvent,
    formatEventAsClassicLogText,
)
from twisted.python import log as old_log
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.workers.reports import report, reported


class ReportTests(SynchronousTestCase):
    """``report`` and ``reported``."""

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        self.log = Logger(namespace="some.module", observer=cast(ILogObserver, self.events.append))

    def passed(self) -> LogEvent:
        """The event that was logged last, as it arrives."""
        line = report(self.events[-1])
        self.assertNotIn("\n", line)
        return reported(line, 3)

    def test_event(self) -> None:
        """Fields, level, time and text."""
        self.log.info("{outcome}: {count} bytes", outcome="relayed", count=7)
        event = self.passed()
        self.assertEqual((event["outcome"], event["count"]), ("relayed", 7))
        self.assertEqual(formatEvent(event), "relayed: 7 bytes")
        self.assertIs(event["log_level"], LogLevel.info)
        self.assertEqual(event["log_time"], self.events[-1]["log_time"])
        text = formatEventAsClassicLogText(event)
        self.assertIn("[worker 3, some.module#info] relayed: 7 bytes", text or "")
        self.assertEqual(event["worker"], 3)

    def test_objects(self) -> None:
        """What JSON does not know is what it looked like in the text."""
        data = b"\xff"
        self.log.debug("{thing} {data}", thing=self, data=data)
        self.assertEqual(formatEvent(self.passed()), f"{self} {data!r}")

    def test_failure(self) -> None:
        """What it was, what it says, and where. Braces in its text are text."""
        try:
            raise ValueError("{what} was wrong")
        except ValueError:
            self.log.failure("{it} failed", it="this")
        event = self.passed()
        text = eventAsText(event, includeTimestamp=False)
        self.assertIn("[worker 3, some.module#critical] this failed", text)
        self.assertIn("builtins.ValueError: {what} was wrong", text)
        self.assertIn("in test_failure", text)
        self.assertIs(event["log_level"], LogLevel.critical)

    def test_old_way(self) -> None:
        """Parts of Twisted still log in the old way."""
        old_log.addObserver(self.events.append)
        self.addCleanup(old_log.removeObserver, self.events.append)
        old_log.msg("Site starting on 8080")
        text = formatEventAsClassicLogText(self.passed())
        self.assertIn("[worker 3, -] Site starting on 8080", text or "")

    def test_part_of_a_line(self) -> None:
        self.log.info("text")
        self.assertRaises(ValueError, reported, report(self.events[-1])[:-1], 0)

    def test_no_event(self) -> None:
        """JSON of anything else."""
        for line in ("null", "5", "[]", '{"__class_uuid__": 1}', "[" * 10_000):
            self.assertRaises(ValueError, reported, line, 0)
