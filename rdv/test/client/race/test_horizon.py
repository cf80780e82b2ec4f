"""
How long the relay waits for a direct path.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.client.race import contest
from rdv.client.race.horizon import HANDSHAKE_TIME, Sight, handshake_time, horizon
from rdv.test.client.doubles import CONFIRM, HELLO, OWN, PEER, answer
from rdv.test.client.race.test_contest import ContestTestCase


class HorizonTests(SynchronousTestCase):
    """The wait in round trips; never the second after which a lost SYN would be repeated."""

    def test_ports_stay(self) -> None:
        """The penalty decides: a lost SYN is repeated within it."""
        self.assertEqual(horizon(Sight(0.05, 0.05, False, False)), math.inf)

    def test_ports_change(self) -> None:
        """
        A direct connection stands up to a round trip between the peers after the relay is ready.
        The server is in the middle, nearer to one of them, or far off both.
        """
        for dialer, acceptor, peers in (
            (0, 0, 0),
            (0.01, 0.01, 0.02),
            (0.04, 0.04, 0.08),
            (0.005, 0.04, 0.045),
            (0.04, 0.005, 0.045),
            (0.02, 0.1, 0.005),
            (0.2, 0.2, 0.4),
            (0.001, 0.3, 0.301),
        ):
            seconds = horizon(Sight(2 * dialer, dialer + acceptor, False, True))
            stands = 3 * peers - (dialer + acceptor)
            self.assertGreater(seconds, max(stands, 0) + 0.05)
            self.assertLess(seconds, 0.11 + 1.5 * max(2 * dialer, 2 * (dialer + acceptor)))

    def test_can_move(self) -> None:
        """A round trip to the server and a little: nothing is lost when it is over."""
        for trip in (0.0001, 0.02, 0.2):
            seconds = horizon(Sight(trip, 1.0, True, True))
            self.assertTrue(trip + 0.005 < seconds < 1.5 * trip + 0.05, trip)
        self.assertLess(horizon(Sight(None, 1.0, True, False)), 0.5)

    def test_handshake(self) -> None:
        """A round trip of its own is enough when it can move there later."""
        self.assertEqual(handshake_time(0.02, can_move=False), HANDSHAKE_TIME)
        self.assertEqual(handshake_time(None, can_move=True), HANDSHAKE_TIME)
        self.assertEqual(handshake_time(3.0, can_move=True), HANDSHAKE_TIME)
        self.assertTrue(0.02 < handshake_time(0.02, can_move=True) < 0.04)
        self.assertTrue(0.4 < handshake_time(0.4, can_move=True) < 0.6)


class ContestTests(ContestTestCase):
    """What the contest passes to it."""

    OURS, THEIRS = "198.51.100.1:7", ("192.168.7.2:41000", "203.0.113.9:6001")

    def wait(self, *peers: str, observed: str = "", late: float = 0.0, **options: Any) -> float:
        """Seconds from HELLO on the relay, ``late`` after the answer, to the choice."""
        self.setUp()
        self.dial(**options)
        self.server.clear()
        extra = f"Rdv-Observed-Addr: {observed}\r\n" if observed else ""
        self.server.deliver(answer(*peers, extra=extra))
        self.reactor.advance(late)
        self.server.deliver(HELLO)
        ready = self.reactor.seconds()
        while not self.attempt.called:
            self.reactor.advance(0.01)
        return self.reactor.seconds() - ready

    def test_who_changes_ports(self) -> None:
        """Nobody, one of the two, or both."""
        self.patch(contest, "round_trip", lambda transport: 0.02)
        self.assertGreater(self.wait(PEER), 1.9)
        for peers, observed in (([PEER], self.OURS), (self.THEIRS, OWN), (self.THEIRS, self.OURS)):
            self.assertLess(self.wait(*peers, observed=observed), 0.25)

    def test_what_is_measured(self) -> None:
        """The way to the server, and how long HELLO has taken; the penalty is the most."""
        self.patch(contest, "round_trip", lambda transport: 0.4)
        self.assertGreater(self.wait(PEER, observed=self.OURS), 0.5)
        self.assertLess(self.wait(PEER, observed=self.OURS, penalty=0.1), 0.15)
        self.patch(contest, "round_trip", lambda transport: 0.02)
        self.assertGreater(self.wait(PEER, observed=self.OURS, late=0.2), 0.5)
        self.assertGreater(self.wait(PEER, observed=self.OURS, late=5), 1.9)

    def test_proxy(self) -> None:
        """One next door is not the server, and its port is none that a NAT has given to us."""
        self.patch(contest, "round_trip", lambda transport: 0.0001)
        proxy = "192.0.2.3:3128"
        self.assertGreater(self.wait(PEER, observed=self.OURS, proxy=proxy), 1.9)
        without = self.wait(*self.THEIRS, observed=OWN)
        self.assertGreater(self.wait(*self.THEIRS, observed=OWN, proxy=proxy), without + 0.1)

    def test_one_that_stands(self) -> None:
        """It has its second for the handshake all the same."""
        self.patch(contest, "round_trip", lambda transport: 0.02)
        self.begin(PEER, observed=self.OURS)
        direct = self.reactor.connected(1)
        self.reactor.advance(HANDSHAKE_TIME - 0.01)
        self.assert_waits()
        direct.deliver(HELLO)
        self.assertEqual(direct.value(), CONFIRM)
