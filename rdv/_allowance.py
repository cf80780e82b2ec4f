"""
Limits actions that may be frequent for a moment, but not in the long run.
"""

from __future__ import annotations

import math

__all__ = ["Allowance"]


class Allowance:
    """
    :param at_once: the initial and maximum amount.
    :param per_second: how much is added each second.
    :ivar most: the maximum amount, and the maximum debt.
    """

    def __init__(self, at_once: float, per_second: float) -> None:
        self._left = self.most = at_once
        self._per_second = per_second
        self._since = math.inf

    def left(self, now: float) -> float:
        """The current amount; negative if more was taken than there was."""
        passed = max(0.0, now - self._since)
        self._since = now
        self._left = min(self.most, self._left + passed * self._per_second)
        return self._left

    def take(self, now: float, count: int = 1) -> None:
        """Take some, even if there is not enough. The debt is at most the maximum amount."""
        self._left = max(-self.most, self.left(now) - count)
