"""What ``--json`` tells of a stream."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console
from rdv._stdio.meter import Meter
from rdv.client.trace import Event, What
from rdv.commands.events import StreamEvents
from rdv.test.stdio.test_meter import Counts


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
            if what not in (What.ASKED, What.MET, What.CONNECTED, What.FAILED)
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
