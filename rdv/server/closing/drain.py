"""
The time from the start of a shutdown until no connection is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._observer import OneShotObserver
from rdv.server.leg import Leg

__all__ = ["Drain", "Successor"]

#: Passes a client to another process that serves it from then on; returns False if it does not.
Successor: TypeAlias = Callable[[Leg], bool]

#: Seconds that refused clients get at shutdown, however short the drain time.
_TIME_TO_REFUSE = 1.0


class Drain:
    """
    Lets connections end by themselves for a limited time.

    :param cut_pairs: called when the time for pairs is over.
    :param cut_all: called when the time for refused clients is over as well.
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
        """Whether the drain has begun and not ended."""
        return self.has_begun and not self._over.fired

    def begin(self, seconds: float) -> None:
        """Start or restart the time limit, with this many seconds for pairs."""
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
        """A new Deferred that fires when no connection is left. Cancelling it has no effect."""
        return self._over.when_fired()
