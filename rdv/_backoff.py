"""
How long to wait before a retry.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Backoff", "later"]


def later(asked_for: float | None, longest: float, chance: Callable[[], float]) -> float:
    """
    Seconds for which a server asks us to stay away, plus up to a quarter, because clients that it
    has refused together should not return together.

    :param asked_for: the value of its ``Retry-After``; None if there is none.
    :param longest: the maximum that is respected.
    :param chance: a random number from 0 to 1.
    """
    return min((asked_for or 0.0) * (1 + chance() / 4), longest)


class Backoff:
    """
    Pauses that double, up to a bound. Each is shortened at random, by half at most, so that clients
    that have failed together do not return together.

    :param first: seconds of the first pause, at most.
    :param longest: seconds of any pause, at most.
    :param chance: a random number from 0 to 1.
    """

    def __init__(self, first: float, longest: float, chance: Callable[[], float]) -> None:
        self._first = self._pause = first
        self._longest = longest
        self._chance = chance

    def next(self) -> float:
        """Seconds to wait now."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause * (1 + self._chance()) / 2

    def reset(self) -> None:
        """After a success: begin with the first pause again."""
        self._pause = self._first
