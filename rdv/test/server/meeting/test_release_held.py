"""The nearer client of a pair gets its 101 later."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import LogEvent, Logger, formatEvent

from rdv.server.accounting import notes
from rdv.test.doubles import present
from rdv.test.server.doubles import Guest
from rdv.test.server.meeting.held_case import FAR, HOLD, LINES, NEAR, WAYS, HeldTestCase, tcp_info
from rdv.test.server.relay.test_outcome import Events
from rdv.wire import Role, switching_protocols


class ReleaseTests(HeldTestCase):
    """Without a disturbance."""

    def test_nearer_one_later(self) -> None:
        """Whatever its role is, and whoever came first."""
        for role in Role:
            for first, second in ((NEAR, FAR), (FAR, NEAR)):
                guests = self.come_from(role, first), self.come_from(role.other, second)
                near, far = guests if first == NEAR else guests[::-1]
                self.assert_told(far, near)
                self.clock.advance(HOLD - 0.0001)
                self.assert_untold(near)
                self.clock.advance(0.0001)
                self.settle()
                self.assert_told(near, far)
                self.close_all(*guests)
        self.assert_over(abandoned=4)

    def test_goes_on_as_any_other(self) -> None:
        for role in Role:
            self.open()
            near, far = self.held_pair(role)
            self.clock.advance(HOLD)
            self.settle()
            near.take()
            for one, other in ((near, far), (far, near)):
                one.here.write(LINES[one.leg.role] + b"question")
                self.settle()
                self.assertEqual(other.take(), LINES[one.leg.role] + b"question")
            self.close_all(near, far)
            self.assert_over(relayed=1)

    def test_direct(self) -> None:
        for role in Role:
            self.open()
            guests = self.held_pair(role)
            self.clock.advance(HOLD)
            self.settle()
            guests[0].take()
            dialer, acceptor = guests if role is Role.DIALER else guests[::-1]
            acceptor.here.write(LINES[Role.ACCEPTOR])
            self.close_all(dialer)
            self.assert_closed(acceptor)
            self.assert_over(direct=1)

    def assert_both_at_once(self, one: Guest, other: Guest) -> None:
        """No timer but that of the handshake runs."""
        self.assert_told(one, other)
        self.assert_told(other, one)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_switched_off(self) -> None:
        self.open(align=False)
        self.assert_both_at_once(
            self.come_from(Role.DIALER, NEAR), self.come_from(Role.ACCEPTOR, FAR)
        )


class HookTests(HeldTestCase):
    """A ``serve`` hook that takes its time."""

    def setUp(self) -> None:
        super().setUp()
        self.thought: Deferred[None] = Deferred()
        self.open(serve=lambda pair: self.thought)
        self.guests = self.come_from(Role.DIALER, NEAR), self.come_from(Role.ACCEPTOR, FAR)

    def test_round_trips_of_that_moment(self) -> None:
        """Not those of the arrival."""
        near, far = self.guests[::-1]
        self.sockets[near].info, self.sockets[far].info = tcp_info(NEAR), tcp_info(FAR)
        self.thought.callback(None)
        self.settle()
        self.assert_told(far, near)
        self.assert_untold(near)
        self.clock.advance(HOLD)
        self.settle()
        self.assert_told(near, far)


class MisjudgedTests(HeldTestCase):
    """The farther client sends while the nearer one is still held: it was not as far as assumed."""

    def test_line(self) -> None:
        """It comes behind the 101."""
        for role in Role:
            self.open()
            near, far = self.held_pair(role)
            line = LINES[far.leg.role]
            far.here.write(line + b"question")
            self.settle()
            head = switching_protocols(near.leg.observed, far.leg.candidates)
            self.assertEqual(near.take(), head + line + b"question")
            self.assertEqual(near.at_server.writes, [head, line, b"question"])
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the handshake's
            near.here.write(LINES[role])
            self.settle()
            self.assertEqual(far.take(), LINES[role])
            self.clock.advance(1)
            self.assertEqual((near.take(), far.take()), (b"", b""))
            self.close_all(near, far)
            self.assert_over(relayed=1)

    def test_wrong_byte(self) -> None:
        for role in Role:
            self.open()
            guests = self.held_pair(role)
            guests[1].here.write(b"X")
            self.settle()
            for guest in guests:
                self.assertFalse(present(guest.lost).check(ConnectionDone))
            self.assert_over(failed=1)


class LogTests(HeldTestCase):
    """What is logged."""

    def setUp(self) -> None:
        super().setUp()
        events = Events()
        self.events = events.seen
        self.patch(notes, "log", Logger(observer=events))

    def matched(self) -> LogEvent:
        """The only event of that kind."""
        (event,) = [event for event in self.events if event.get("event") == "matched"]
        return event

    def test_held(self) -> None:
        for role, text in ((Role.DIALER, "dialer"), (Role.ACCEPTOR, "acceptor")):
            self.events.clear()
            self.held_pair(role)
            event = self.matched()
            self.assertEqual((event["held"], event["hold"]), (text, HOLD))
            self.assertTrue(
                formatEvent(event).endswith(f", {text} held back for 0.062 s"), formatEvent(event)
            )

    def test_broken_off(self) -> None:
        """Who has left, of which role; and that the pair failed."""
        for role in Role:
            for way in WAYS:
                for leaver in (0, 1):
                    self.open()
                    guests = self.held_pair(role)
                    self.events.clear()
                    getattr(guests[leaver].here, way)()
                    self.settle()
                    left = [e["role"] for e in self.events if e.get("event") == "left"]
                    self.assertEqual(left, [guests[leaver].leg.role.name.lower()])
                    (outcome,) = [e["outcome"] for e in self.events if "outcome" in e]
                    self.assertEqual(outcome, "failed")
                    self.close_all(*guests)

    def test_not_held(self) -> None:
        dialer = self.come_from(Role.DIALER, NEAR)
        self.come_from(Role.ACCEPTOR, NEAR)
        event = self.matched()
        self.assertEqual((event["held"], event["hold"]), (None, 0.0))
        observed, number = dialer.leg.observed, f"{dialer.leg.id:08x}"
        text = f"matched: dialer to… from {observed}, id {number}"
        self.assertEqual(formatEvent(event), text)
