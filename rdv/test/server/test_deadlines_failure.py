"""One who fails when told that time is over must not keep others from being told."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.deadlines import Deadlines


class FailureTests(SynchronousTestCase):
    """Ten seconds each; telling "bad" raises."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[str] = []
        self.deadlines: Deadlines[str] = Deadlines(self.clock, 10, self.tell)

    def tell(self, member: str) -> None:
        """Time is over."""
        self.told.append(member)
        if member == "bad":
            raise ZeroDivisionError

    def add(self, *members: str) -> None:
        """Let them in."""
        for member in members:
            self.deadlines.add(member)

    def fail_at_ten(self) -> None:
        """The failure is the reactor's to report."""
        self.assertRaises(ZeroDivisionError, self.clock.advance, 10)

    def assert_idle(self) -> None:
        """Nobody is in, and no timer runs."""
        self.assertEqual(len(self.deadlines), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_of_the_same_time(self) -> None:
        self.add("a", "bad", "b", "c")
        self.fail_at_ten()
        self.clock.advance(0)
        self.assertEqual(self.told, ["a", "bad", "b", "c"])
        self.assert_idle()

    def test_later_ones(self) -> None:
        self.add("bad")
        self.clock.advance(4)
        self.add("b")
        self.assertRaises(ZeroDivisionError, self.clock.advance, 6)
        self.assertEqual(self.told, ["bad"])
        self.clock.advance(4)
        self.assertEqual(self.told, ["bad", "b"])
        self.assert_idle()

    def test_new_ones(self) -> None:
        self.add("bad")
        self.fail_at_ten()
        self.assert_idle()
        self.add("b")
        self.clock.advance(10)
        self.assertEqual(self.told, ["bad", "b"])
        self.assert_idle()
