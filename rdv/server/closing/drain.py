"""
The time from the order to close until no connection is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._observer import OneShotObserver
from rdv.server.leg import Leg

__all__ = ["Drain", "Successor"]

#: Takes a client to where it is served from now on, unless it returns False.
Successor: TypeAlias = Callable[[Leg], bool]

#: Seconds that refused clients get at shutdown, however short the drain time.
_TIME_TO_REFUSE = 1.0


class Drain:
    """
    Lets connections end by themselves for a while.

    :param cut_pairs: called when the pairs have had their time.
    :param cut_all: called when refused clients have had theirs as well.
    :ivar has_begun: whether :meth:`begin` was called.
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
        self.has_begun = False
        self._over: OneShotObserver[None] = OneShotObserver()

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun, and not ended."""
        return self.has_begun and not self._over.fired

    def begin(self, seconds: float) -> None:
        """Their time begins, or begins anew; pairs get so much of it."""
        self._cancel()
        self.has_begun = True
        self._calls = [
            self._clock.callLater(seconds, self._cut_pairs),
            self._clock.callLater(max(seconds, _TIME_TO_REFUSE), self._cut_all),
        ]

    def end(self) -> None:
        """No connection is left."""
        self._cancel()
        self._over.fire(None)

    def _cancel(self) -> None:
        for call in self._calls:
            if call.active():
                call.cancel()

    def when_over(self) -> Deferred[None]:
        """A new Deferred that fires then. Cancelling it only forgets it."""
        return self._over.when_fired()
