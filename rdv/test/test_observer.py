"""
Something that happens once.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._observer import OneShotObserver


class OneShotObserverTests(SynchronousTestCase):
    """Who waits, and when."""

    def setUp(self) -> None:
        self.observer: OneShotObserver[str] = OneShotObserver()

    def test_before_and_behind(self) -> None:
        """Everybody has a Deferred of their own."""
        first, second = self.observer.when_fired(), self.observer.when_fired()
        self.assertNoResult(first)
        self.observer.fire("now")
        first.addCallback(lambda _: "changed")
        for waiter in (second, self.observer.when_fired()):
            self.assertEqual(self.successResultOf(waiter), "now")

    def test_once(self) -> None:
        """The first time counts."""
        self.observer.fire("now")
        self.observer.fire(Failure(ValueError()))
        self.assertEqual(self.successResultOf(self.observer.when_fired()), "now")

    def test_failure(self) -> None:
        """Each who waits is told; if nobody does, nobody has to handle it."""
        waiter = self.observer.when_fired()
        self.observer.fire(Failure(ValueError()))
        for each in (waiter, self.observer.when_fired()):
            self.failureResultOf(each, ValueError)

    def test_cancel(self) -> None:
        """One who waits no more does not concern the others."""
        first, second = self.observer.when_fired(), self.observer.when_fired()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.observer.fire("now")
        self.assertEqual(self.successResultOf(second), "now")

    def test_one_cancels_another(self) -> None:
        """While they are being told."""
        first, second = self.observer.when_fired(), self.observer.when_fired()
        first.addCallback(lambda _: second.cancel())
        self.observer.fire("now")
        self.failureResultOf(second, CancelledError)
