"""
One timer for any number of equal timeouts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadlines", "Expiry"]

M = TypeVar("M")
T = TypeVar("T", bound=Hashable)


class Expiry(Generic[M]):
    """
    The timer of a table whose members all have the same time.

    Equal timeouts expire in the order in which they began, so one delayed call, for the oldest
    member, serves all of them. A burst of expirations is processed :attr:`batch` at a time, with
    the reactor's other work in between.

    :param timeout: seconds; 0 means that no member ever expires.
    :param begun: returns the members of the table, the oldest first, each with its time of entry.
    :param expire: called with a member whose time is over, and its time of entry. Removes it,
        unless another call has already removed it, or entered it again.
    :ivar call: the delayed call; None if there are no members, or no timeout.
    """

    #: How many members expire in one turn of the reactor.
    batch = 256

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        begun: Callable[[], Iterable[tuple[M, float]]],
        expire: Callable[[M, float], object],
    ) -> None:
        self._clock = clock
        self.timeout = timeout
        self._begun = begun
        self._expire = expire
        self.call: IDelayedCall | None = None

    def start(self) -> None:
        """A member has entered, and there is no :attr:`call`."""
        if self.timeout:
            self.call = self._clock.callLater(max(0.0, self.timeout), self._ring)

    def stop(self) -> None:
        """The table is empty."""
        if self.call is not None and self.call.active():
            self.call.cancel()
            self.call = None

    def retime(self, timeout: float) -> None:
        """Change the timeout, counted from when each member entered."""
        self.timeout = timeout
        self.stop()
        self._go_on()

    def _ring(self) -> None:
        now, timeout = self._clock.seconds(), self.timeout
        due: list[tuple[M, float]] = []
        for member, since in self._begun():
            if since + timeout > now or len(due) == self.batch:
                break
            due.append((member, since))
        try:
            for member, since in due:
                if self.timeout != timeout:  # the others may have more time now
                    break
                self._expire(member, since)
        finally:
            self.stop()  # a new timeout has started another call
            self.call = None
            self._go_on()

    def _go_on(self) -> None:
        oldest = next(iter(self._begun()), None)
        if oldest is not None and self.timeout:
            left = max(0.0, oldest[1] + self.timeout - self._clock.seconds())
            self.call = self._clock.callLater(left, self._ring)


class Deadlines(Generic[T]):
    """
    Reports members that have been in for ``timeout`` seconds; see :class:`Expiry`.

    :param timeout: seconds; 0 means that no member ever expires.
    :param expired: called with each member that has expired, after it has been removed.
    """

    def __init__(self, clock: IReactorTime, timeout: float, expired: Callable[[T], object]) -> None:
        self._clock = clock
        self._expired = expired
        self._since: dict[T, float] = {}
        self._expiry: Expiry[T] = Expiry(clock, timeout, self._since.items, self._expire)

    def __len__(self) -> int:
        return len(self._since)

    def __iter__(self) -> Iterator[T]:
        """Iterate over a copy, so that members may leave meanwhile."""
        return iter(list(self._since))

    def begun(self) -> Iterable[tuple[T, float]]:
        """The members with their times of entry. They must not change during the iteration."""
        return self._since.items()

    def add(self, member: T) -> None:
        """Start the member's time now."""
        self._since.pop(member, None)  # moves it to the end of the queue
        self._since[member] = self._clock.seconds()
        if self._expiry.call is None:
            self._expiry.start()

    def left(self, member: T) -> float:
        """
        Seconds until the member's time ends: 0 if it is over but not reported yet, and the whole
        time if it is not a member.
        """
        now = self._clock.seconds()
        return max(0.0, self._since.get(member, now) + self._expiry.timeout - now)

    def retime(self, timeout: float) -> None:
        """Change the timeout, counted from when each member entered, also for current members."""
        self._expiry.retime(timeout)

    def discard(self, member: T) -> None:
        """Remove the member, if it is one."""
        self._since.pop(member, None)
        if not self._since:
            self._expiry.stop()

    def _expire(self, member: T, since: float) -> None:
        if self._since.get(member) == since:
            del self._since[member]
            self._expired(member)
