"""
One timer for any number of equal timeouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadlines"]

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """
    Reports members that have been in for ``timeout`` seconds.

    Equal timeouts expire in the order in which they began, so one ordered dict and one delayed
    call, for the oldest member, serve all of them. A burst of expirations is processed
    :attr:`batch` at a time, with the reactor's other work in between.

    :param timeout: seconds; 0 means that no member ever expires.
    :param expired: called with each member that has expired, after it has been removed.
    """

    #: How many members expire in one turn of the reactor.
    batch = 256

    def __init__(self, clock: IReactorTime, timeout: float, expired: Callable[[T], object]) -> None:
        self._clock = clock
        self._timeout = timeout
        self._expired = expired
        self._ends: dict[T, float] = {}
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[T]:
        """In a copy that may be worked through while members leave."""
        return iter(list(self._ends))

    def begun(self) -> Iterator[tuple[T, float]]:
        """Members, and when they came; nobody may come or leave while that is worked through."""
        return ((member, end - self._timeout) for member, end in self._ends.items())

    def add(self, member: T) -> None:
        """Start the member's time now."""
        self._ends.pop(member, None)  # to the end of the queue, if it is in
        self._ends[member] = self._clock.seconds() + self._timeout
        if self._timeout and self._call is None:
            self._call = self._clock.callLater(self._timeout, self._expire)

    def left(self, member: T) -> float:
        """
        Seconds until the member's time ends, 0 for one that is only to be told of it; all of it for
        one that is not in.
        """
        now = self._clock.seconds()
        return max(0.0, self._ends.get(member, now + self._timeout) - now)

    def retime(self, timeout: float) -> None:
        """Have another timeout, counted from when each member came; also for those that are in."""
        later, self._timeout = timeout - self._timeout, timeout
        for member in self._ends:
            self._ends[member] += later
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        self._go_on()

    def discard(self, member: T) -> None:
        """Forget the member, if it is in."""
        self._ends.pop(member, None)
        if not self._ends and self._call is not None and self._call.active():
            self._call.cancel()
            self._call = None

    def _expire(self) -> None:
        now = self._clock.seconds()
        due: list[T] = []
        for member, end in self._ends.items():
            if end > now or len(due) == self.batch:
                break
            due.append(member)
        try:
            for member in due:
                # Telling one member may have taken out another, or put it in anew.
                if self._ends.get(member, math.inf) <= now:
                    del self._ends[member]
                    self._expired(member)
        finally:
            self._call = None
            self._go_on()

    def _go_on(self) -> None:
        if self._ends and self._timeout:
            oldest = next(iter(self._ends.values()))
            left = max(0.0, oldest - self._clock.seconds())
            self._call = self._clock.callLater(left, self._expire)
