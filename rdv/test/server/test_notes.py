"""What the log is told of clients and pairs."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from rdv._system.verbosity import show_from
from rdv.test.server.doubles import ServerTestCase


class NotesTests(ServerTestCase):
    """Of a pair that comes and goes."""

    def noted(self, level: str) -> list[tuple[str, str]]:
        """The level and the text of each event, where those of ``level`` and above are seen."""
        self.addCleanup(show_from, "debug")
        show_from(level)
        with capturedLogs() as events:
            self.close_all(*self.relayed_pair())
        return [(each["log_level"].name, str(formatEvent(each))) for each in events]

    def test_as_somebody_sees_it(self) -> None:
        """Each is there, or is not made at all."""
        events = [
            ("debug", "waiting: dialer to… from unknown"),
            ("debug", "matched: dialer to… from unknown"),
            ("info", "relayed: to…, bytes from dialer: 0, acceptor: 0"),
        ]
        for level, number in (("debug", 0), ("info", 2), ("critical", 3)):
            self.assertEqual(self.noted(level), events[number:])
