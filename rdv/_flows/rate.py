"""
Limits the rate and the size of flows.

A flow reports each piece to its limit, and stops reading when the limit says so, until it may
continue. The limit sets the size of a piece, so that a low rate is kept in small steps, and a high
one costs almost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["BURST", "LARGEST", "Limit", "Limits", "Quota", "RateLimit", "piece_of"]

#: How far a flow may be ahead of its rate before it must pause, in seconds.
BURST = 0.1
#: Bounds of the size of a piece, in bytes. Only a quota that is nearly used up makes smaller ones.
_SMALLEST, LARGEST = 1 << 12, 1 << 20


class Limit(Protocol):
    """The limit of one flow."""

    @property
    def piece(self) -> int:
        """The maximum size of the next piece in bytes; it may change after each piece."""

    def passed(self, size: int, go_on: Callable[[], object]) -> bool:
        """
        This many bytes were moved.

        :return: whether the flow must pause until ``go_on`` is called.
        """

    def stop(self) -> None:
        """The flow has ended: make no further call."""


def piece_of(bytes_: float) -> int:
    """The size of a piece: ``bytes_``, within bounds."""
    return int(min(max(bytes_, _SMALLEST), LARGEST))


class RateLimit:
    """
    A :class:`Limit` that makes a flow pause after each piece, so that on average it moves no more
    than ``rate`` bytes a second. Unused time cannot be saved up beyond a tenth of a second.

    :param rate: bytes per second; more than 0.
    """

    __slots__ = ("_call", "_clock", "_paid", "_rate", "piece")

    def __init__(self, clock: IReactorTime, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"not a rate: {rate}")
        self.piece = piece_of(rate * BURST)
        self._clock = clock
        self._rate = rate
        self._paid = 0.0  # when all bytes so far would have passed at exactly this rate
        self._call: IDelayedCall | None = None

    def pause(self, size: int) -> float:
        """
        This many bytes were moved.

        :return: seconds for which the flow must pause.
        """
        now = self._clock.seconds()
        self._paid = max(self._paid, now) + size / self._rate
        return max(0.0, self._paid - now - BURST)

    def passed(self, size: int, go_on: Callable[[], object]) -> bool:
        seconds = self.pause(size)
        if not seconds:
            return False
        self.stop()
        self._call = self._clock.callLater(seconds, self._go_on, go_on)
        return True

    def _go_on(self, go_on: Callable[[], object]) -> None:
        self._call = None
        go_on()

    def stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


class Quota:
    """
    A :class:`Limit` of several flows together: a number of bytes, and no more.

    :param size: bytes.
    :param spent: called once, when the flows have exceeded it.
    """

    __slots__ = ("_left", "_spent")

    def __init__(self, size: float, spent: Callable[[], object]) -> None:
        self._left = size
        self._spent: Callable[[], object] | None = spent

    @property
    def piece(self) -> int:
        """See :class:`Limit`: a byte more than is left, so that exceeding it is noticed."""
        return int(min(max(self._left, 0) + 1, LARGEST))

    def passed(self, size: int, go_on: Callable[[], object]) -> bool:
        self._left -= size
        if self._left >= 0:
            return False
        if self._spent is not None:
            spent, self._spent = self._spent, None
            spent()
        return True

    def stop(self) -> None:
        """See :class:`Limit`: it makes no calls."""


class Limits:
    """Combines several into one :class:`Limit`: a flow continues when all of them allow it."""

    __slots__ = ("_limits", "_pausing")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = limits
        self._pausing: set[Limit] = set()

    @property
    def piece(self) -> int:
        """See :class:`Limit`: the smallest."""
        return min(each.piece for each in self._limits)

    def passed(self, size: int, go_on: Callable[[], object]) -> bool:
        for each in self._limits:
            if each.passed(size, partial(self._ends, each, go_on)):
                self._pausing.add(each)
        return bool(self._pausing)

    def _ends(self, limit: Limit, go_on: Callable[[], object]) -> None:
        self._pausing.discard(limit)
        if not self._pausing:
            go_on()

    def stop(self) -> None:
        self._pausing.clear()
        for each in self._limits:
            each.stop()
