"""What is told after the connection is there."""

from __future__ import annotations

from rdv.addresses import parse_address
from rdv.client.attempt_trace import AttemptTrace
from rdv.client.trace import Event, What
from rdv.test.client.probation_case import LONG, ProbationTestCase
from rdv.wire import Role


class DialerTests(ProbationTestCase):
    """The dialer's side."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[Event] = []
        trace = AttemptTrace(self.clock, 1, (self.events.append,), self.role)
        address = parse_address("203.0.113.9:41000")
        self.relay.candidate.trace = trace.way("relay", address)
        self.direct.candidate.trace = direct = trace.way("dial", address)
        direct.won()
        trace.connected(False, address)
        self.events.clear()

    def test_settled(self) -> None:
        """Once, with the reason."""
        self.acknowledge()
        (event,) = self.events
        self.assertEqual(event.what, What.SETTLED)
        self.assertEqual(event.fields, {"reason": "CONFIRM was acknowledged"})

    def test_first_byte(self) -> None:
        self.direct.deliver(b"x")
        (event,) = self.events
        self.assertEqual(event.fields, {"reason": "the peer has said something"})

    def test_switched(self) -> None:
        """And nothing of the handshake that the relay makes up for."""
        self.direct.lose()
        self.assert_relayed()
        (event,) = self.events
        self.assertEqual(event.what, What.SWITCHED)
        self.assertEqual(event.fields["way"], 1)

    def test_relay_gone(self) -> None:
        self.relay.end()
        (event,) = self.events
        self.assertEqual(event.fields, {"reason": "the peer has ended the relay"})


class AcceptorTests(DialerTests):
    """The acceptor's."""

    role = Role.ACCEPTOR

    def test_settled(self) -> None:
        """In the end it is taken for granted."""
        self.clock.advance(LONG)
        (event,) = self.events
        self.assertEqual(event.fields, {"reason": "time is up"})

    def test_switched(self) -> None:
        """When the dialer chooses the relay after all."""
        self.relay.deliver(b"rdv/1 CONFIRM token\r\n")
        self.assert_relayed()
        self.assertEqual([event.what for event in self.events], [What.SWITCHED])
