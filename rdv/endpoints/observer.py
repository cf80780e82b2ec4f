"""
Something that happens once, whoever waits for it.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["Occasion"]

T = TypeVar("T")


class Occasion(Generic[T]):
    """
    Any number may wait, each with a Deferred of its own. A failure that nobody waits for is no
    unhandled error.
    """

    def __init__(self) -> None:
        self._result: T | Failure | None = None
        self._waiting: list[Deferred[T]] = []
        self.happened = False

    def wait(self) -> Deferred[T]:
        """Fires when it happens, at once if it has."""
        waiter: Deferred[T] = Deferred(self._waiting_no_more)
        self._waiting.append(waiter)
        if self.happened:
            self._tell()
        return waiter

    def happen(self, result: T | Failure) -> None:
        """It happens, with this result. Only the first time counts."""
        if not self.happened:
            self.happened = True
            self._result = result
            self._tell()

    def _waiting_no_more(self, waiter: Deferred[T]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(self._result)  # type: ignore[arg-type]
