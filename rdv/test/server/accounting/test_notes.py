"""
What is logged about clients and pairs.
"""

from __future__ import annotations

import re

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.verbosity import show_from
from rdv.server.accounting.notes import note_drain
from rdv.test.server.doubles import ServerTestCase


class NotesTests(ServerTestCase):
    """The life of a pair."""

    def noted(self, level: str) -> list[tuple[str, str]]:
        """The level and the text of each event, where those of ``level`` and above are seen."""
        self.addCleanup(show_from, "debug")
        show_from(level)
        with capturedLogs() as events:
            self.close_all(*self.relayed_pair())
        texts = [(each["log_level"].name, str(formatEvent(each))) for each in events]
        self.assertLessEqual(len({re.search("id ([0-9a-f]{8})$", text)[1] for _, text in texts}), 1)  # type: ignore[index]
        return [(level, re.sub(", id .*", "", text)) for level, text in texts]

    def test_as_somebody_sees_it(self) -> None:
        """Each is there, or is not made at all; all have the pair's number."""
        events = [
            ("debug", "waiting: dialer to… from unknown"),
            ("debug", "matched: dialer to… from unknown"),
            (
                "info",
                "relayed: to…, bytes from dialer: 0, acceptor: 0, dialer_closed, waited 0.000 s, "
                "lasted 0.000 s, dialer unknown, acceptor unknown",
            ),
        ]
        for level, number in (("debug", 0), ("info", 2), ("critical", 3)):
            self.assertEqual(self.noted(level), events[number:])


class DrainTests(SynchronousTestCase):
    """What is logged about the end of a server."""

    def test_text(self) -> None:
        for pairs, drain, said in (
            (0, 86400.0, "SIGTERM: no pairs are left"),
            (1, 86400.0, "SIGTERM: 1 pair has 1d to end"),
            (2, 5.0, "SIGTERM: 2 pairs have 5s to end"),
            (2, 0.5, "SIGTERM: 2 pairs have 0.5s to end"),
        ):
            with capturedLogs() as events:
                note_drain("SIGTERM", pairs, drain)
            (event,) = events
            self.assertEqual(formatEvent(event), said)
            self.assertEqual((event["pairs"], event["drain"]), (pairs, drain))
