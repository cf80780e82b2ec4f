"""
An event that happens once, for any number of waiters.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["OneShotObserver"]

T = TypeVar("T")


class OneShotObserver(Generic[T]):
    """
    Any number of callers may wait, each with a separate Deferred. A failure for which no caller
    waits is not an unhandled error.
    """

    __slots__ = ("_result", "_waiting", "fired")

    def __init__(self) -> None:
        self._result: T | Failure | None = None
        self._waiting: tuple[Deferred[T], ...] = ()
        self.fired = False

    def when_fired(self) -> Deferred[T]:
        """Fires when it happens, immediately if it has. Cancelling it affects no other waiter."""
        waiter: Deferred[T] = Deferred(self._forget)
        self._waiting += (waiter,)
        if self.fired:
            self._tell()
        return waiter

    def fire(self, result: T | Failure) -> None:
        """The event happens, with this result. Only the first call counts."""
        if not self.fired:
            self.fired = True
            self._result = result
            self._tell()

    def _forget(self, waiter: Deferred[T]) -> None:
        self._waiting = tuple(each for each in self._waiting if each is not waiter)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, ()
        for waiter in waiting:
            if not waiter.called:  # one waiter may cancel another
                waiter.callback(self._result)  # type: ignore[arg-type]
