"""
One client of a pair sends too early or leaves before the other one, or itself, has been answered.
"""

from __future__ import annotations

import gc
import weakref

from rdv.server import Outcome, Pair
from rdv.test.server.meeting.held_case import EARLY, FAR, HOLD, LINES, NEAR, WAYS, HeldTestCase
from rdv.wire import Role


class NearerOneTests(HeldTestCase):
    """The nearer client does something before it is answered."""

    def test_early_bytes(self) -> None:
        """Its 400, though they be the right line; the other one is left alone."""
        for role in Role:
            for early in (b"x", LINES[role]):
                self.open(serve=self.remember)
                near, far = self.held_pair(role)
                near.here.write(early)
                self.settle()
                self.assert_refused(near, *EARLY)
                self.assert_closed(far)
                self.assertIs(self.pairs.pop().outcome, Outcome.FAILED)
                self.clock.advance(1)
                self.assertEqual(near.received, b"")
                self.close_all(near, far)
                self.assert_over(failed=1)

    def test_leaves(self) -> None:
        """No direct path can have been found."""
        for role in Role:
            for way in WAYS:
                self.open()
                near, far = self.held_pair(role)
                getattr(near.here, way)()
                self.settle()
                self.assertEqual(near.received, b"")
                self.assertFalse(near.at_server.connected)
                self.assert_closed(far)
                self.close_all(near, far)
                self.assert_over(failed=1)

    def test_leaves_and_the_other_one_does_not_read(self) -> None:
        """It is closed behind its 101, but not for ever."""
        far = self.come_from(Role.ACCEPTOR, FAR)
        far.here.pauseProducing()
        near = self.come_from(Role.DIALER, NEAR)
        near.here.abortConnection()
        self.settle()
        self.assertTrue(far.at_server.connected)
        self.clock.advance(5)
        self.settle()
        self.assertFalse(far.at_server.connected)
        self.assert_over(failed=1)


class FartherOneTests(HeldTestCase):
    """The farther client leaves before the nearer one is answered, which then waits again."""

    def test_leaves(self) -> None:
        for role in Role:
            for way in WAYS:
                self.open()
                near, far = self.held_pair(role)
                getattr(far.here, way)()
                self.settle()
                self.assertFalse(far.at_server.connected)
                self.assert_waiting(near)
                self.close_all(far)
                self.assertEqual(self.rendezvous.pairs, 0)
                self.assertEqual(self.rendezvous.outcomes, {Outcome.FAILED: 1})
                self.assertIsNone(near.at_server.producer)
                self.clock.advance(HOLD)
                self.settle()
                self.assert_waiting(near)
                self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the lobby's
                self.close_all(near)

    def test_partner_that_waits_already(self) -> None:
        """It is met at once; the end of the first pair does no harm to the second."""
        for role in Role:
            for way in WAYS:
                self.open()
                near, far = self.held_pair(role)
                other = self.come_from(role.other, NEAR)
                self.assert_waiting(other)
                getattr(far.here, way)()
                self.settle()
                self.assert_told(near, other)
                self.assert_told(other, near)
                self.close_all(far)
                near.here.write(LINES[role])
                self.settle()
                self.assertEqual(other.take(), LINES[role])
                self.close_all(near, other)
                outcome = "direct" if role is Role.ACCEPTOR else "abandoned"
                self.assert_over(failed=1, **{outcome: 1})

    def test_somebody_has_taken_its_place(self) -> None:
        """Of two with the same role the older one goes."""
        near, far = self.held_pair(Role.DIALER)
        newer = self.come_from(Role.DIALER, NEAR)
        self.close_all(far)
        self.assert_waiting(newer)
        self.assert_refused(near, 409, "replaced by another conn")

    def test_pair_aborted_then(self) -> None:
        """By a hook that has kept it: the pair has ended, and the client is not its any more."""
        self.open(serve=self.remember)
        for role in Role:
            near, far = self.held_pair(role)
            self.assertEqual((self.rendezvous.pairs, self.rendezvous.waiting), (1, 0))
            ended = self.pairs[-1].when_ended()
            self.close_all(far)
            self.assertIs(self.successResultOf(ended).outcome, Outcome.FAILED)
            self.pairs[-1].abort()
            self.settle()
            self.assert_waiting(near)
            other = self.come_from(role.other, NEAR)
            self.assert_told(near, other)
            self.close_all(near, other)

    def test_nothing_of_the_pair_is_left(self) -> None:
        """Though one of its clients goes on waiting."""
        refs: list[weakref.ref[Pair]] = []

        def serve(pair: Pair) -> None:
            refs.append(weakref.ref(pair))

        self.open(serve=serve)
        near, far = self.held_pair(Role.DIALER)
        self.close_all(far)
        self.assert_waiting(near)
        gc.collect()
        self.assertEqual([ref() for ref in refs], [None])
