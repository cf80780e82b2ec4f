"""
Counts and rates of any number of keys in a fixed amount of memory: a count-min sketch, and the
generic cell rate algorithm (GCRA) on top of one.

A key is a number of 60 random bits or more: :class:`KeyedHash` makes one of an address. Four parts
of it say where the key is in four rows of slots. The least of the four is its count: others may
have added to it, so it is never too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["SLOTS", "Counts", "KeyedHash", "Rate"]

_BITS = 15
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1
_ROWS = 4
#: How many numbers a sketch takes.
SLOTS = _ROWS * _WIDTH


class KeyedHash:
    """
    Numbers for texts, which nobody can foretell who does not have the secret.

    :param secret: 64 bytes at most.
    """

    def __init__(self, secret: bytes) -> None:
        self._empty = blake2b(key=secret, digest_size=8)

    def __call__(self, text: bytes) -> int:
        """The number of ``text``, not 0."""
        state = self._empty.copy()
        state.update(text)
        return int.from_bytes(state.digest(), "little") or 1


def _places(key: int) -> tuple[int, int, int, int]:
    return (
        key & _MASK,
        _WIDTH + (key >> _BITS & _MASK),
        2 * _WIDTH + (key >> 2 * _BITS & _MASK),
        3 * _WIDTH + (key >> 3 * _BITS & _MASK),
    )


class Counts:
    """
    How many there are of each key, here and elsewhere.

    :param parts: the counters of each process, :data:`SLOTS` unsigned numbers.
    :param own: which of them is ours; only this one is written.
    """

    def __init__(self, parts: Sequence[memoryview[int]], own: int) -> None:
        self._parts = parts
        self._own = parts[own]

    def add(self, key: int) -> None:
        """There is one more here."""
        own = self._own
        for place in _places(key):
            own[place] += 1

    def remove(self, key: int) -> None:
        """There is one less, which was added before."""
        own = self._own
        for place in _places(key):
            own[place] -= 1

    def has(self, key: int, number: int) -> bool:
        """Whether there are so many or more, in all parts together."""
        first = key & _MASK  # which says no nearly always
        if sum([part[first] for part in self._parts]) < number:
            return False
        return self.count(key) >= number

    def count(self, key: int) -> int:
        """How many there are in all parts together, or more."""
        return min(sum(part[place] for part in self._parts) for place in _places(key))


class Rate:
    """
    How often something happens to each key.

    For each there is a time until which it has used up what it may: each event moves it on by the
    time that one event has at an even rate. It may be ahead of the present by ``window``.

    :param times: :data:`SLOTS` times. Others may write them, too: then an event may get lost.
    :param rate: so many a second.
    :param window: so many seconds' worth may come at once.
    """

    def __init__(self, times: memoryview[float], rate: float, window: float) -> None:
        self._times = times
        self._interval = 1.0 / rate
        self._ahead = window - self._interval
        self._most = 2 * window

    def allows(self, key: int, now: float) -> bool:
        """Whether there may be one more now."""
        times, latest = self._times, now + self._ahead
        if times[key & _MASK] <= latest:
            return True
        return any(times[place] <= latest for place in _places(key))

    def spend(self, key: int, now: float) -> None:
        """
        There is one now, whether it is allowed or not. However many there are, two windows later
        all is forgotten.
        """
        times, places = self._times, _places(key)
        used_up = min([times[place] for place in places])
        until = min(max(used_up, now) + self._interval, now + self._most)
        for place in places:
            # Not more than this key has: others would have to pay for it.
            if times[place] < until:
                times[place] = until

    def take(self, key: int, now: float) -> bool:
        """Spend one if it is allowed, and say whether it was."""
        allowed = self.allows(key, now)
        if allowed:
            self.spend(key, now)
        return allowed
