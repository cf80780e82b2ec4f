"""
Cuts relayed pairs that have been silent for too long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._deadlines import Deadlines
from rdv._flows.joint import Joint

__all__ = ["IdleTimes", "IdleWatch"]

#: How many different idle times share timers: there are one or two, unless a ``serve`` hook sets
#: more.
_SHARED = 8


class IdleTimes:
    """
    The idle times of relayed pairs.

    :ivar first: by the time in seconds, the watches before their first check. One timer serves all
        of them, and most pairs end before it expires.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock

        @lru_cache(_SHARED)
        def first(timeout: float) -> Deadlines[IdleWatch]:
            return Deadlines(clock, timeout, IdleWatch.look)

        self.first = first


class IdleWatch:
    """
    Checks a joint that has just begun whenever its idle time may be over. From the second time on,
    it has a timer of its own.

    :param timeout: seconds without a byte in either direction.
    :param expired: called when this time is over.
    """

    __slots__ = ("_call", "_clock", "_expired", "_first", "_joint", "_timeout")

    def __init__(
        self, times: IdleTimes, joint: Joint, timeout: float, expired: Callable[[], object]
    ) -> None:
        self._clock = times.clock
        self._joint = joint
        self._timeout = timeout
        self._expired = expired
        self._call: IDelayedCall | None = None
        self._first = times.first(timeout)
        self._first.add(self)

    def stop(self) -> None:
        """Stop checking."""
        self._first.discard(self)
        if self._call is not None and self._call.active():
            self._call.cancel()

    def look(self) -> None:
        """Check whether the idle time is over."""
        left = self._joint.active + self._timeout - self._clock.seconds()
        if left <= 0:
            self._expired()
        else:
            self._call = self._clock.callLater(left, self.look)
