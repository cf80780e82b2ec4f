"""Events of an attempt, and who is told."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address
from rdv.client.attempt_trace import AttemptTrace
from rdv.client.trace import Event, What


class AttemptTraceTests(SynchronousTestCase):
    """Tells of one attempt."""

    def test_event(self) -> None:
        """Everybody gets the event, with the time and the attempt."""
        clock = Clock()
        clock.advance(7)
        seen: list[Event] = []
        AttemptTrace(clock, 3, (seen.append, seen.append))(What.ASKED, port=1)
        self.assertEqual(seen, [Event(7.0, 3, What.ASKED, {"port": 1})] * 2)

    def test_failing_trace(self) -> None:
        """It is logged; the others are told, and the attempt goes on."""
        seen: list[Event] = []

        def fail(event: Event) -> None:
            raise RuntimeError("not my day")

        AttemptTrace(Clock(), 1, (fail, seen.append))(What.MET)
        self.assertEqual(len(seen), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class RecordTests(SynchronousTestCase):
    """An event for JSON."""

    def test_fields(self) -> None:
        """Addresses become texts, within lists too; what JSON knows stays."""
        address = parse_address("192.0.2.1:7")
        fields = {"observed": None, "port": 1, "peer_addresses": [address], "peer": address}
        self.assertEqual(
            Event(1.5, 2, What.MET, fields).record(),
            {
                "event": "met",
                "time": 1.5,
                "attempt": 2,
                "observed": None,
                "port": 1,
                "peer_addresses": ["192.0.2.1:7"],
                "peer": "192.0.2.1:7",
            },
        )
