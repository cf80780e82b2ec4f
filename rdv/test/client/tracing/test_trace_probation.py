"""
The events after a connection is established.
"""

from __future__ import annotations

from collections.abc import Callable

from rdv.addresses import parse_address
from rdv.client.trace import Event, What
from rdv.client.tracing.attempt_trace import AttemptTrace
from rdv.test.client.stream.probation_case import CONFIRM, LONG, ProbationTestCase
from rdv.wire import Role


class TraceTests(ProbationTestCase):
    """Each event is reported once."""

    def told(self, role: Role, happen: Callable[[], object]) -> Event:
        """What it is told of what happens."""
        self.role = role
        self.begin()
        events: list[Event] = []
        trace = AttemptTrace(self.clock, 1, (events.append,), role)
        address = parse_address("203.0.113.9:41000")
        self.relay.candidate.trace = trace.way("relay", address)
        self.direct.candidate.trace = direct = trace.way("dial", address)
        direct.won()
        trace.connected(False, address)
        events.clear()
        happen()
        (event,) = events
        return event

    def test_settled(self) -> None:
        """With the reason. An acceptor takes it for granted in the end."""
        for role, happen, reason in (
            (Role.DIALER, lambda: self.acknowledge(), "CONFIRM was acknowledged"),
            (Role.ACCEPTOR, lambda: self.clock.advance(LONG), "time is up"),
            *(
                (role, lambda: self.direct.deliver(b"x"), "the peer sent something")
                for role in Role
            ),
            *((role, lambda: self.relay.end(), "the peer ended the relay") for role in Role),
        ):
            event = self.told(role, happen)
            self.assertEqual(event.what, What.SETTLED)
            self.assertEqual(event.fields, {"reason": reason})

    def test_switched(self) -> None:
        """And nothing of the handshake that the relay makes up for."""
        for role, happen in (
            (Role.DIALER, lambda: self.direct.lose()),
            (Role.ACCEPTOR, lambda: self.relay.deliver(CONFIRM)),
        ):
            event = self.told(role, happen)
            self.assert_relayed()
            self.assertEqual((event.what, event.fields["way"]), (What.SWITCHED, 1))
