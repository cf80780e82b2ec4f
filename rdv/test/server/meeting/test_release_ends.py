"""
Ends of a pair while one client has not been answered: by the server, and in any order.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone

from rdv.server import Outcome
from rdv.test.doubles import present
from rdv.test.server.doubles import Guest
from rdv.test.server.meeting.held_case import EARLY, HOLD, LINES, NEAR, WAYS, HeldTestCase
from rdv.wire import Role, refusal, switching_protocols


class CutTests(HeldTestCase):
    """Ends that come from the server."""

    def assert_cut(self, *guests: Guest) -> None:
        """Both are broken off, and nobody is told any more."""
        self.settle()
        for guest in guests:
            self.assertEqual(guest.received, b"")
            self.assertFalse(present(guest.lost).check(ConnectionDone))
        self.assert_over(failed=1)

    def test_aborted_while_another_one_waits(self) -> None:
        """Who is being cut does not wait again, not even for a moment."""
        for role in Role:
            for waiting in Role:
                self.open(serve=self.remember)
                guests = self.held_pair(role)
                other = self.come_from(waiting, NEAR)
                self.pairs.pop().abort()
                self.settle()
                for guest in guests:
                    self.assertEqual(guest.received, b"")
                    self.assertFalse(present(guest.lost).check(ConnectionDone))
                self.assert_waiting(other)
                self.close_all(other)
                self.assert_over(failed=1)

    def test_handshake_timeout(self) -> None:
        """Shorter than the hold, should anybody set it so."""
        self.open(handshake_timeout=0.03125)
        guests = self.held_pair(Role.DIALER)
        self.clock.advance(0.03125)
        self.assert_cut(*guests)

    def test_drain(self) -> None:
        """They may go on, so it is told in time."""
        near, far = self.held_pair(Role.DIALER)
        done = self.rendezvous.close(5)
        self.clock.advance(HOLD)
        self.settle()
        self.assert_told(near, far)
        self.assertNoResult(done)
        self.close_all(near, far)
        self.successResultOf(done)
        self.assert_over(abandoned=1)

    def test_farther_one_leaves_during_the_drain(self) -> None:
        """Nobody waits again then."""
        near, far = self.held_pair(Role.DIALER)
        done = self.rendezvous.close(5)
        self.close_all(far)
        self.assert_refused(near, 503, "shutting down, try again")
        self.assertNoResult(done)
        self.close_all(near)
        self.successResultOf(done)
        self.assert_over(failed=1)


class WatchedTests(HeldTestCase):
    """What a hook sees."""

    def setUp(self) -> None:
        super().setUp()
        self.open(serve=self.remember)

    def test_reject_is_too_late(self) -> None:
        self.held_pair(Role.DIALER)
        self.assertRaises(RuntimeError, self.pairs[0].reject, 403, "no")


def _speak(data: bytes) -> Callable[[Guest], object]:
    return lambda guest: guest.here.write(data)


def _go(way: str) -> Callable[[Guest], object]:
    return lambda guest: getattr(guest.here, way)()


#: What a client may do at any time.
DEEDS: dict[str, Callable[[Guest], object]] = {
    "line": lambda guest: guest.here.write(LINES[guest.leg.role]),
    "half a line": lambda guest: guest.here.write(LINES[guest.leg.role][:7]),
    "the rest": lambda guest: guest.here.write(LINES[guest.leg.role][7:]),
    "nonsense": _speak(b"X"),
    **{way: _go(way) for way in WAYS},
}


class AnyOrderTests(HeldTestCase):
    """Whatever both do, and when."""

    @given(
        st.sampled_from(Role),
        st.lists(
            st.tuples(st.sampled_from(["near", "far", "clock"]), st.sampled_from(sorted(DEEDS))),
            max_size=8,
        ),
        st.booleans(),
    )
    @example(Role.DIALER, [("far", "line"), ("near", "line")], True)
    def test_any_deeds(self, role: Role, deeds: list[tuple[str, str]], settling: bool) -> None:
        """
        Nobody is told twice, lines come behind the 101, whoever was not told is no success of
        a direct path, and nothing is left in the end.
        """
        self.open()
        near, far = self.held_pair(role)
        for who, deed in deeds:
            if who == "clock":
                self.clock.advance(HOLD / 2)
            else:
                DEEDS[deed](near if who == "near" else far)
            if settling:
                self.settle()
        self.settle()
        self.clock.advance(HOLD)
        self.settle()
        head = switching_protocols(near.leg.observed, far.leg.candidates)
        told = near.at_server.writes[:1] == [head]
        if told:
            self.assertTrue(near.received.startswith(head) or near.received == b"")
            self.assert_relayed(far, near.received.removeprefix(head))
            self.assert_relayed(near, far.received)
        else:
            self.assertIn(near.received, (b"", refusal(*EARLY)))
            self.assertEqual(far.received, b"")
        self.close_all(near, far)
        self.clock.advance(30)
        self.settle()
        self.assertEqual((self.rendezvous.waiting, self.rendezvous.pairs), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        (outcome,) = self.rendezvous.outcomes.elements()
        if not told:
            self.assertIs(outcome, Outcome.FAILED)

    def assert_relayed(self, sender: Guest, received: bytes) -> None:
        """Nothing, or its line and what it wrote behind it."""
        self.assertTrue(b"".join(sender.here.writes).startswith(received))
        self.assertTrue(not received or received.startswith(LINES[sender.leg.role]), received)
