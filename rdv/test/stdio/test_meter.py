"""What a stream has moved, read from time to time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console
from rdv._stdio.meter import Meter, StreamEvents
from rdv.client.trace import Event, What


@dataclass
class Counts:
    """Those of a stream."""

    sent: int = 0
    delivered: int = 0
    received: int = 0


class Display:
    """
    Records what it is given to show.

    :ivar shown: for each update, whether it was the last one, and the values of the meter.
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


class StreamEventsTests(SynchronousTestCase):
    """Events of the attempt, and bytes."""

    def setUp(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        console = Console()
        self.patch(
            console, "tell", lambda name, text="", **fields: self.told.append((name, fields))
        )
        self.events = StreamEvents(console)

    def test_attempt(self) -> None:
        """Under their own names, but for two; without what the command says itself."""
        for what in What:
            details = {"peer_addresses": [], "reason": OSError("x"), "dial": 1}
            self.events.trace(Event(1.5, 2, what, details))
        fields = {"attempt": 2, "peer_addresses": [], "reason": "x", "dial": 1}
        names = [name for name, _ in self.told]
        others = [
            what.value
            for what in What
            if what not in (What.ASKED, What.MET, What.CONNECTED, What.MOVED, What.FAILED)
        ]
        self.assertEqual(sorted(names), sorted([*others, "lobby", "candidates"]))
        self.assertEqual([told for _, told in self.told], [fields] * len(names))

    def test_redials(self) -> None:
        """Of hundreds of dials to each address the first is told, and how many there were."""
        for way in (1, 2):
            for dial in range(1, 332):
                self.events.trace(Event(1.0, 1, What.DIALLED, {"way": way, "dial": dial}))
                self.events.trace(Event(1.0, 1, What.REFUSED, {"way": way, "dial": dial}))
            self.events.trace(Event(1.0, 1, What.LOST, {"way": way, "dials": 331}))
        told = [(name, fields["way"]) for name, fields in self.told]
        self.assertEqual(
            told, [(name, way) for way in (1, 2) for name in ("dialled", "refused", "lost")]
        )

    def test_bytes(self) -> None:
        """Once a second while something moves, and at the end."""
        clock, counts = Clock(), Counts()
        meter = Meter(clock, self.events)
        meter.start(counts)
        seconds: list[tuple[int, int]] = []
        for sent, received in ((0, 0), (1, 0), (2, 0), (2, 0), (2, 0), (2, 5), (2, 5)):
            counts.sent = counts.delivered = sent
            counts.received = received
            clock.pump([0.5, 0.5])
            seconds.append((len(self.told), sent))
        self.assertEqual([number for number, _ in seconds], [0, 1, 2, 2, 2, 3, 3])
        meter.stop()
        told = [(name, fields["sent"], fields["received"]) for name, fields in self.told]
        self.assertEqual(told, [("bytes", 1, 0), ("bytes", 2, 0), ("bytes", 2, 5), ("bytes", 2, 5)])
