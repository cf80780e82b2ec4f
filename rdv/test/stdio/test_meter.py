"""What a stream has moved, read from time to time."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.meter import Meter, Speed


@dataclass
class Counts:
    """Those of a stream."""

    sent: int = 0
    delivered: int = 0
    received: int = 0


class Display:
    """
    Notes what it is to show.

    :ivar shown: of each time whether it was the last, and what the meter said.
    """

    interval = 0.25
    trace = None

    def __init__(self) -> None:
        self.shown: list[tuple[bool, float, int, int]] = []
        self.error: Exception | None = None

    def show(self, meter: Meter) -> None:
        if self.error is not None:
            raise self.error
        self.shown.append((False, meter.seconds, meter.sent, meter.received))

    def finish(self, meter: Meter) -> None:
        self.shown.append((True, meter.seconds, meter.sent, meter.received))

    def sink(self) -> None: ...

    def summary(self, meter: Meter) -> str:
        return ""


class MeterTests(SynchronousTestCase):
    """Reads counts."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.display = Display()
        self.meter = Meter(self.clock, self.display)
        self.counts = Counts()

    def test_stream(self) -> None:
        """In intervals, and at the end; what has not arrived yet counts only then."""
        self.meter.start(self.counts)
        self.counts.sent, self.counts.delivered = 10, 4
        self.clock.advance(0.25)
        self.counts.delivered, self.counts.received = 10, 7
        self.clock.advance(0.25)
        self.counts.sent = 12
        self.clock.advance(0.125)
        self.meter.stop()
        self.clock.advance(5)
        self.assertEqual(
            self.display.shown,
            [(False, 0.25, 4, 0), (False, 0.5, 10, 7), (True, 0.625, 12, 7)],
        )
        self.counts.sent = 99
        self.assertEqual((self.meter.sent, self.meter.seconds), (12, 0.625))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_started(self) -> None:
        """There was no connection: nothing has moved, and nothing is shown."""
        self.meter.stop()
        self.assertEqual((self.meter.sent, self.meter.received, self.meter.seconds), (0, 0, 0.0))
        self.assertEqual(self.display.shown, [])

    def test_display_fails(self) -> None:
        """That is logged; the counts go on."""
        self.display.error = RuntimeError("no room")
        self.meter.start(self.counts)
        self.clock.advance(0.25)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.counts.sent = 3
        self.meter.stop()
        self.assertEqual((self.meter.sent, self.display.shown), (3, []))


class SpeedTests(SynchronousTestCase):
    """Bytes a second."""

    def test_steady(self) -> None:
        speed = Speed()
        self.assertEqual([speed(n / 4, n * 100) for n in range(1, 50)], [400.0] * 49)

    def test_stalls(self) -> None:
        """It falls, to nothing once the last seconds have seen nothing, and soon rises again."""
        speed = Speed(window=2.0)
        self.assertEqual(speed(1.0, 1000), 1000.0)
        self.assertEqual([speed(n, 1000) for n in (2.0, 3.0, 4.0, 5.0)], [500.0, 0.0, 0.0, 0.0])
        self.assertEqual(speed(6.0, 3000), 1000.0)

    def test_no_time(self) -> None:
        self.assertEqual(Speed()(0.0, 1000), 0.0)
