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
#: Seconds for which a token is remembered, from the last attempt.
_REMEMBERED = 60.0


class Tried:
    """The tokens of one process. Each token belongs to one process, so no other one sees it."""

    def __init__(self) -> None:
        self._times: dict[int, dict[int, float]] = {}  # each ordered by the last attempt

    def is_new(self, key: int, token: bytes, now: float) -> bool:
        """
        An address has tried a token.

        :param key: of the address.
        :return: whether it has not tried the token recently.
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
