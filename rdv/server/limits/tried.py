"""
The tokens that an address has recently tried in vain.

Guessing takes a new token each time, while a client that retries uses the same one. A failure is
therefore only counted for a token with which the address has not failed within the last minute.
Only a few are remembered per address: repeating these finds no peer that an attacker would not also
find by leaving as many clients waiting.
"""

from __future__ import annotations

import math

__all__ = ["TOKENS", "Tried"]

#: How many addresses are remembered, and how many tokens of each.
_ADDRESSES, TOKENS = 1024, 64
#: Seconds for which a token is, from the last time that it was tried.
_REMEMBERED = 60.0


class Tried:
    """Those of one process. Each token is one process' business."""

    def __init__(self) -> None:
        self._times: dict[int, dict[int, float]] = {}  # in the order of the last times

    def is_new(self, key: int, token: bytes, now: float) -> bool:
        """
        An address has tried a token.

        :param key: that of the address.
        :return: whether that is new.
        """
        times = self._times.pop(key, None)
        if times is None:
            if len(self._times) >= _ADDRESSES:
                del self._times[next(iter(self._times))]
            times = {}
        self._times[key] = times
        long_ago = now - _REMEMBERED
        while times and next(iter(times.values())) <= long_ago:
            del times[next(iter(times))]
        mark = hash(token)
        is_new = times.pop(mark, -math.inf) <= long_ago
        if len(times) < TOKENS:
            times[mark] = now
        return is_new
