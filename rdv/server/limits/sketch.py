"""
Counts and rates of any number of keys in a fixed amount of memory: a count-min sketch, and the
generic cell rate algorithm (GCRA) on top of one.

A key is a number with at least 60 random bits: :class:`KeyedHash` makes one from an address. Two
parts of it are its slots in two rows (:class:`Place`). The smaller number of the two is its count.
Other keys may have added to it, so it is never too low. (Two long rows take half the time of four
shorter ones, and collisions are rare enough.)

Three counts share a slot, each with its own bits, so that one addition changes them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["FIELD", "SLOTS", "Counts", "KeyedHash", "Place", "Rate"]

_BITS = 17
_WIDTH = 1 << _BITS
_MASK = _WIDTH - 1
#: The number of slots in a sketch.
SLOTS = 2 * _WIDTH
#: Bits of one count: enough for more connections than a host can have.
FIELD = 21
_FIELD_MASK = (1 << FIELD) - 1


class KeyedHash:
    """
    Hashes texts to numbers that cannot be predicted without the secret.

    :param secret: at most 64 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._empty = blake2b(key=secret, digest_size=8)

    def __call__(self, text: bytes) -> int:
        """The number of ``text``, never 0."""
        state = self._empty.copy()
        state.update(text)
        return int.from_bytes(state.digest(), "little") or 1


class Place:
    """
    The slots of a key in the two rows, ``one`` and ``other``: computed once for all operations.

    :param text: the text whose hash is the key.
    """

    __slots__ = ("key", "one", "other", "text")

    def __init__(self, key: int, text: bytes = b"") -> None:
        self.key = key
        self.text = text
        self.one = key & _MASK
        self.other = _WIDTH + (key >> _BITS & _MASK)


class Counts:
    """
    The counts of each key in all processes, of three kinds, 0 to 2.

    :param parts: the counters of each process: :data:`SLOTS` unsigned 64-bit numbers.
    :param own: the index of our part; no other part is written.
    :ivar own: our part. Callers may change both slots of a place directly: add ``1 << FIELD *
        kind`` for each one more, and subtract for each one less what was added before.
    """

    def __init__(self, parts: Sequence[memoryview[int]], own: int) -> None:
        self._parts = parts
        self.own = parts[own]
        self._others = [part for index, part in enumerate(parts) if index != own]

    def has(self, place: Place, kind: int, number: int) -> bool:
        """Whether all parts together have at least this number of a kind."""
        one = place.one
        total = self.own[one]
        for part in self._others:
            total += part[one]
        # This row alone is nearly always enough to say no.
        return total >> FIELD * kind & _FIELD_MASK >= number and self.count(place, kind) >= number

    def count(self, place: Place, kind: int) -> int:
        """The count of a kind in all parts together. It may be too high."""
        sums = [sum([part[each] for part in self._parts]) for each in (place.one, place.other)]
        return min([each >> FIELD * kind & _FIELD_MASK for each in sums])


class Rate:
    """
    Limits how often something happens for each key.

    Each key has a time until which it has used up its rate. Each event moves that time by the
    interval of an even rate. It may be ahead of the present by up to ``window``.

    :param times: :data:`SLOTS` times. Other processes may write them, too; an event may then be
        lost.
    :param rate: events per second.
    :param window: how many seconds' worth of events may happen at once.
    :ivar ahead: how far a time may be ahead of the present for one more event.
    """

    def __init__(self, times: memoryview[float], rate: float, window: float) -> None:
        self.times = times
        self._interval = 1.0 / rate
        self.ahead = window - self._interval
        self._most = 2 * window

    def allows(self, place: Place, now: float) -> bool:
        """Whether one more event is allowed now."""
        times, latest = self.times, now + self.ahead
        return times[place.one] <= latest or times[place.other] <= latest

    def spend(self, place: Place, now: float) -> None:
        """
        Count an event, whether it is allowed or not. The time is at most two windows ahead, so even
        any number of events is forgotten after that.
        """
        times, one, other = self.times, place.one, place.other
        first, second = times[one], times[other]
        until = min(max(min(first, second), now) + self._interval, now + self._most)
        # A slot that another key has moved further ahead stays, or that key would pay for this
        # one's event.
        if first < until:
            times[one] = until
        if second < until:
            times[other] = until

    def take(self, place: Place, now: float) -> bool:
        """Count an event if it is allowed; return whether it was."""
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
