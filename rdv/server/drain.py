"""
The time from the order to close until no connection is left.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._observer import OneShotObserver

__all__ = ["Drain"]

#: Seconds that refused clients get at shutdown, however short the drain time.
_TIME_TO_REFUSE = 1.0


class Drain:
    """
    Lets connections end by themselves for a while.

    :param cut_pairs: called when the pairs have had their time.
    :param cut_all: called when refused clients have had theirs as well.
    """

    def __init__(
        self,
        clock: IReactorTime,
        cut_pairs: Callable[[], object],
        cut_all: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._cut_pairs = cut_pairs
        self._cut_all = cut_all
        self._calls: list[IDelayedCall] = []
        self._over: OneShotObserver[None] = OneShotObserver()

    @property
    def is_over(self) -> bool:
        """Whether :meth:`end` was called."""
        return self._over.fired

    def begin(self, seconds: float) -> None:
        """Their time begins; pairs get so much of it."""
        self._calls = [
            self._clock.callLater(seconds, self._cut_pairs),
            self._clock.callLater(max(seconds, _TIME_TO_REFUSE), self._cut_all),
        ]

    def end(self) -> None:
        """No connection is left."""
        for call in self._calls:
            if call.active():
                call.cancel()
        self._over.fire(None)

    def when_over(self) -> Deferred[None]:
        """A new Deferred that fires then. Cancelling it only forgets it."""
        return self._over.when_fired()
