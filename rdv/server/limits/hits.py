"""
Which addresses limits have refused, and how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rdv.addresses import network_text
from rdv.server.limits.numbers import Limit

__all__ = ["Frequent", "HitCounts", "Hits"]


class Frequent:
    """
    The most frequent ones of any number of keys (space-saving counter).

    A key for which there is no room replaces the rarest one, and inherits its count. A count may
    therefore be too high, by at most the total divided by the room. Every key that is more frequent
    than that is included.

    :param room: the number of keys.
    """

    def __init__(self, room: int = 256) -> None:
        self._room = room
        self._counts: dict[bytes, int] = {}

    def add(self, key: bytes) -> None:
        """Count a key."""
        counts = self._counts
        if key in counts:
            counts[key] += 1
        elif len(counts) < self._room:
            counts[key] = 1
        else:
            rarest = min(counts, key=counts.__getitem__)
            counts[key] = counts.pop(rarest) + 1

    def most(self, number: int) -> list[tuple[bytes, int]]:
        """The most frequent keys with their counts, in descending order."""
        return Counter(self._counts).most_common(number)


class Hits(NamedTuple):
    """
    The refusals of one limit in some period.

    :ivar limit: its name, which is that of a field of :class:`rdv.server.Limits`.
    :ivar refused: the number of refusals.
    :ivar worst: the addresses that it refused most often, with their counts, in descending order.
    """

    limit: str
    refused: int
    worst: Sequence[tuple[str, int]]


class HitCounts:
    """
    The refusals of all limits.

    :ivar totals: the number of refusals since the start, by the name of the limit.
    """

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter({limit.title: 0 for limit in Limit})
        self._recent: dict[Limit, tuple[int, Frequent]] = {}

    def add(self, limit: Limit, network: bytes) -> None:
        """
        A limit has refused a client.

        :param network: of the client's address; see :func:`rdv.addresses.network_of`.
        """
        self.totals[limit.title] += 1
        count, frequent = self._recent.get(limit) or (0, Frequent())
        frequent.add(network)
        self._recent[limit] = (count + 1, frequent)

    def take(self, worst: int = 3) -> list[Hits]:
        """The refusals since the last call."""
        recent, self._recent = self._recent, {}
        return [
            Hits(limit.title, count, [(network_text(key), n) for key, n in frequent.most(worst)])
            for limit, (count, frequent) in recent.items()
        ]
