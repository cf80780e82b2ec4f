"""
Counts and rates of any number of keys in a fixed amount of memory: a count-min sketch, and the
generic cell rate algorithm (GCRA) on top of one.

A key is a number of 60 random bits or more: :class:`KeyedHash` makes one of an address. Two parts
of it say where the key is in two rows of slots (:class:`Place`). The lesser of the two is its
count: others may have added to it, so it is never too low. (Two long rows need half the time of
four shorter ones, and collisions are rare enough.)

Three counts share a slot, each with bits of its own, so that one addition changes them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["FIELD", "SLOTS", "Counts", "KeyedHash", "Place", "Rate"]

_BITS = 17
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1
#: How many numbers a sketch takes.
SLOTS = 2 * _WIDTH
#: Bits of one count: more than a host can have connections.
FIELD = 21
_FIELD_MASK = (1 << FIELD) - 1


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


class Place:
    """
    Where a key is in the two rows, ``one`` and ``other``: found out once for all that is asked.

    :param text: what it is the key of.
    """

    __slots__ = ("key", "one", "other", "text")

    def __init__(self, key: int, text: bytes = b"") -> None:
        self.key = key
        self.text = text
        self.one = key & _MASK
        self.other = _WIDTH + (key >> _BITS & _MASK)


class Counts:
    """
    How many there are of each key, here and elsewhere; of three kinds, 0 to 2.

    :param parts: the counters of each process, :data:`SLOTS` unsigned numbers of 64 bits.
    :param own: which of them is ours; only this one is written.
    :ivar own: ours. Whoever has a place may add to both its numbers: ``1 << FIELD * kind`` for each
        that there is more, less that for each that there is less, which was added before.
    """

    def __init__(self, parts: Sequence[memoryview[int]], own: int) -> None:
        self._parts = parts
        self.own = parts[own]
        self._others = [part for index, part in enumerate(parts) if index != own]

    def has(self, place: Place, kind: int, number: int) -> bool:
        """Whether there are so many of a kind or more, in all parts together."""
        one = place.one
        total = self.own[one]
        for part in self._others:
            total += part[one]
        # This row says no nearly always.
        return total >> FIELD * kind & _FIELD_MASK >= number and self.count(place, kind) >= number

    def count(self, place: Place, kind: int) -> int:
        """How many there are of a kind in all parts together, or more."""
        sums = [sum([part[each] for part in self._parts]) for each in (place.one, place.other)]
        return min([each >> FIELD * kind & _FIELD_MASK for each in sums])


class Rate:
    """
    How often something happens to each key.

    For each there is a time until which it has used up what it may: each event moves it on by the
    time that one event has at an even rate. It may be ahead of the present by ``window``.

    :param times: :data:`SLOTS` times. Others may write them, too: then an event may get lost.
    :param rate: so many a second.
    :param window: so many seconds' worth may come at once.
    :ivar ahead: how far ahead of the present a time may be, for one more to be allowed.
    """

    def __init__(self, times: memoryview[float], rate: float, window: float) -> None:
        self.times = times
        self._interval = 1.0 / rate
        self.ahead = window - self._interval
        self._most = 2 * window

    def allows(self, place: Place, now: float) -> bool:
        """Whether there may be one more now."""
        times, latest = self.times, now + self.ahead
        return times[place.one] <= latest or times[place.other] <= latest

    def spend(self, place: Place, now: float) -> None:
        """
        There is one now, whether it is allowed or not. However many there are, two windows later
        all is forgotten.
        """
        times, one, other = self.times, place.one, place.other
        first, second = times[one], times[other]
        until = min(max(min(first, second), now) + self._interval, now + self._most)
        # Not more than this key has: others would have to pay for it.
        if first < until:
            times[one] = until
        if second < until:
            times[other] = until

    def take(self, place: Place, now: float) -> bool:
        """Spend one if it is allowed, and say whether it was."""
        times, one, other = self.times, place.one, place.other
        first, second = times[one], times[other]
        used_up = first if first < second else second
        if used_up > now + self.ahead:
            return False
        until = (used_up if used_up > now else now) + self._interval
        if first < until:
            times[one] = until
        if second < until:
            times[other] = until
        return True
