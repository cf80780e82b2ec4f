"""Events of an attempt, and who is told."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.trace import Event, Tracer, What


class TracerTests(SynchronousTestCase):
    """Tells of one attempt."""

    def test_event(self) -> None:
        """Everybody gets the event, with the time and the attempt."""
        clock = Clock()
        clock.advance(7)
        seen: list[Event] = []
        Tracer(clock, 3, (seen.append, seen.append))(What.ASKED, port=1)
        self.assertEqual(seen, [Event(7.0, 3, What.ASKED, {"port": 1})] * 2)

    def test_failing_trace(self) -> None:
        """It is logged; the others are told, and the attempt goes on."""
        seen: list[Event] = []

        def fail(event: Event) -> None:
            raise RuntimeError("not my day")

        Tracer(Clock(), 1, (fail, seen.append))(What.MET)
        self.assertEqual(len(seen), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
