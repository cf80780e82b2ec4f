"""
Which client is answered later, and by how much: round trips, and which connection they belong to.
"""

from __future__ import annotations

import socket
import sys
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.tcp_info import round_trip
from rdv.server import Rendezvous
from rdv.server.leg import Leg
from rdv.server.meeting.release import LONGEST_HOLD, SHORTEST_HOLD, Hold, hold_back
from rdv.test.doubles import ends
from rdv.test.server.meeting.held_case import HERE, NO_SAMPLE, Above, KernelSocket, tcp_info
from rdv.wire import Offer, Role


@unittest.skipUnless(sys.platform == "linux", "only Linux tells")
class RoundTripTests(SynchronousTestCase):
    """``round_trip``."""

    def trip(self, info: bytes) -> float | None:
        """What it makes of that."""
        with KernelSocket(info) as sock:
            return round_trip(Above(sock))

    def test_least(self) -> None:
        """Not the smoothed one, in which there may be an acknowledgement that was delayed."""
        self.assertEqual(self.trip(tcp_info(35_000, 75_000)), 0.035)

    def test_kernel_that_knows_no_least(self) -> None:
        self.assertEqual(self.trip(tcp_info(35_000, 75_000)[:104]), 0.075)
        self.assertEqual(self.trip(tcp_info(35_000, 75_000)[:151]), 0.075)

    def test_no_sample(self) -> None:
        for nothing in (0, NO_SAMPLE):
            self.assertEqual(self.trip(tcp_info(nothing, 75_000)), 0.075)
            self.assertIsNone(self.trip(tcp_info(nothing)))

    def test_little(self) -> None:
        for size in (0, 8, 68, 71):
            self.assertIsNone(self.trip(tcp_info(35_000, 75_000)[:size]))

    @given(st.binary(max_size=256))
    def test_anything(self, info: bytes) -> None:
        """Not known, or some time."""
        trip = self.trip(info)
        self.assertTrue(trip is None or 0 < trip < NO_SAMPLE / 1e6)

    def test_no_connection(self) -> None:
        """In memory, of another kind, not yet connected, or closed."""
        pair = socket.socketpair()
        fresh, closed = socket.socket(), socket.socket()
        closed.close()
        for sock in (*pair, fresh):
            self.addCleanup(sock.close)
        for transport in (ends(Clock())[0], Above(), *map(Above, (*pair, fresh, closed))):
            self.assertIsNone(round_trip(transport))


@unittest.skipUnless(sys.platform == "linux", "only Linux tells")
class HoldBackTests(SynchronousTestCase):
    """``hold_back``."""

    def leg(
        self,
        microseconds: int,
        peer: Any = HERE,
        observed: str = "203.0.113.9:39841",
        role: Role = Role.DIALER,
    ) -> Leg:
        """A client at that distance, whose socket and whose observed address say that."""
        clock = Clock()
        leg = Leg(Offer(role, b"token"), observed, Rendezvous(clock))
        transport, _ = ends(clock)
        sock = KernelSocket(tcp_info(microseconds))
        self.addCleanup(sock.close)
        sock.lie_below(transport, peer)
        leg.makeConnection(transport)
        return leg

    def assert_held(self, near: Leg, far: Leg, seconds: float) -> None:
        """In whatever order they are given."""
        for one, other in ((near, far), (far, near)):
            hold = hold_back(one, other)
            assert hold is not None
            self.assertEqual((hold.near, hold.far), (near, far))
            self.assertAlmostEqual(hold.seconds, seconds)

    def assert_plain(self, one: Leg, other: Leg) -> None:
        """In whatever order they are given."""
        self.assertIsNone(hold_back(one, other))
        self.assertIsNone(hold_back(other, one))

    def test_half_the_difference(self) -> None:
        for role in Role:
            near, far = self.leg(10_000, role=role), self.leg(80_000, role=role.other)
            self.assert_held(near, far, 0.035)

    def test_too_little(self) -> None:
        least = round(SHORTEST_HOLD * 2e6)
        self.assert_plain(self.leg(50_000), self.leg(50_000 + least - 2))
        self.assert_held(self.leg(50_000), self.leg(50_002 + least), SHORTEST_HOLD + 1e-6)

    def test_bound(self) -> None:
        most = round(LONGEST_HOLD * 2e6)
        self.assert_held(self.leg(1), self.leg(1 + most - 20), LONGEST_HOLD - 1e-5)
        self.assert_held(self.leg(1), self.leg(1 + most), LONGEST_HOLD)
        self.assert_held(self.leg(1), self.leg(1 + 100 * most), LONGEST_HOLD)

    @given(st.integers(1, 5_000_000), st.integers(1, 5_000_000))
    def test_both_hear_at_the_same_moment(self, one_trip: int, other_trip: int) -> None:
        """Unless the hold is out of its bounds."""
        one, other = self.leg(one_trip), self.leg(other_trip)
        hold = hold_back(one, other) or Hold(one, other, 0.0)
        arrival = {leg: trip / 2e6 for leg, trip in ((one, one_trip), (other, other_trip))}
        skew = arrival[hold.far] - arrival[hold.near] - hold.seconds
        if hold.seconds == 0:
            self.assertLess(abs(skew), SHORTEST_HOLD + 1e-9)
        elif hold.seconds < LONGEST_HOLD:
            self.assertAlmostEqual(skew, 0)
        else:
            self.assertEqual(hold.seconds, LONGEST_HOLD)
            self.assertGreater(skew, -1e-9)

    def test_not_known_whose(self) -> None:
        """No guess is made, whichever of the two it is."""
        ip6 = ("2001:db8::7", 39841, 0, 0)
        for trips in ((10_000, 80_000), (80_000, 10_000)):
            said: dict[str, Any]
            for said in (
                {"observed": "192.0.2.7:39841"},  # a proxy is in between
                {"observed": "203.0.113.9:39842"},
                {"peer": ("127.0.0.1", 39841)},
                {"peer": ip6, "observed": "[2001:db8::8]:39841"},
                {"observed": ""},  # the address is not observed
                {"peer": None},  # it has been dialled, not accepted
            ):
                self.assert_plain(self.leg(trips[0]), self.leg(trips[1], **said))

    def test_no_round_trip(self) -> None:
        for nothing in (0, NO_SAMPLE):
            self.assert_plain(self.leg(nothing), self.leg(80_000))
        in_memory = self.leg(10_000)
        in_memory.makeConnection(ends(Clock())[0])
        self.assert_plain(in_memory, self.leg(80_000))
        self.patch(sys, "platform", "darwin")
        self.assert_plain(self.leg(10_000), self.leg(80_000))

    def test_address_families(self) -> None:
        """Also as a client of a dual-stack port looks, to the kernel or to whoever observes."""
        said: dict[str, Any]
        for said in (
            {"peer": ("::ffff:203.0.113.9", 39841, 0, 0)},
            {"observed": "[::ffff:203.0.113.9]:39841"},
            {"peer": ("2001:db8::7", 39841, 0, 0), "observed": "[2001:db8::7]:39841"},
        ):
            self.assert_held(self.leg(10_000, **said), self.leg(80_000), 0.035)
