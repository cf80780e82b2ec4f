"""
Something that happens once.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv.endpoints.observer import Occasion


class OccasionTests(SynchronousTestCase):
    """Who waits, and when."""

    def setUp(self) -> None:
        self.occasion: Occasion[str] = Occasion()

    def test_before_and_behind(self) -> None:
        """Everybody has a Deferred of their own."""
        first, second = self.occasion.wait(), self.occasion.wait()
        self.assertNoResult(first)
        self.occasion.happen("now")
        first.addCallback(lambda _: "changed")
        for waiter in (second, self.occasion.wait()):
            self.assertEqual(self.successResultOf(waiter), "now")

    def test_once(self) -> None:
        """The first time counts."""
        self.occasion.happen("now")
        self.occasion.happen(Failure(ValueError()))
        self.assertEqual(self.successResultOf(self.occasion.wait()), "now")

    def test_failure(self) -> None:
        """Each who waits is told; if nobody does, nobody has to handle it."""
        waiter = self.occasion.wait()
        self.occasion.happen(Failure(ValueError()))
        for each in (waiter, self.occasion.wait()):
            self.failureResultOf(each, ValueError)

    def test_cancel(self) -> None:
        """One who waits no more does not concern the others."""
        first, second = self.occasion.wait(), self.occasion.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.occasion.happen("now")
        self.assertEqual(self.successResultOf(second), "now")
