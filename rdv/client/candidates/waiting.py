"""
Waiting that can be cancelled, or has a time limit.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

__all__ = ["Waiting"]

T = TypeVar("T")


class Waiting(Generic[T]):
    """One wait at a time. Cancelling the Deferred ends the wait, and nothing else."""

    __slots__ = ("_clock", "_timer", "_waiter")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._waiter: Deferred[T] | None = None

    def __bool__(self) -> bool:
        return self._waiter is not None

    def begin(self, seconds: float, result: T | Failure) -> Deferred[T]:
        """
        :param seconds: may be ``math.inf``.
        :return: fires with ``result`` after ``seconds``, or with what :meth:`end` is given before.
        """
        waiter = self._waiter = Deferred(lambda _: self.forget())
        if seconds < math.inf:
            self._timer = self._clock.callLater(seconds, self.end, result)
        return waiter

    def end(self, result: T | Failure) -> None:
        """End the wait."""
        waiter = self._waiter
        self.forget()
        if waiter is not None:
            waiter.callback(result)

    def forget(self) -> None:
        """End the wait without firing the Deferred."""
        self._waiter = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
