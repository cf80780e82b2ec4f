"""
Whom limits have hit, and how often.
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
    The most frequent of any number of keys (space-saving counter).

    A key beyond those that there is room for takes the place of the rarest, and its count. So a
    count may be too high, by no more than the total divided by the room; a key that is more
    frequent than that is in.

    :param room: for so many keys.
    """

    def __init__(self, room: int = 256) -> None:
        self._room = room
        self._counts: dict[bytes, int] = {}

    def add(self, key: bytes) -> None:
        """Count one."""
        counts = self._counts
        if key in counts:
            counts[key] += 1
        elif len(counts) < self._room:
            counts[key] = 1
        else:
            rarest = min(counts, key=counts.__getitem__)
            counts[key] = counts.pop(rarest) + 1

    def most(self, number: int) -> list[tuple[bytes, int]]:
        """The most frequent ones with their counts, in falling order."""
        return Counter(self._counts).most_common(number)


class Hits(NamedTuple):
    """
    What a limit has done for some time.

    :ivar limit: its name: that of a field of :class:`rdv.server.Limits`.
    :ivar refused: how many it has refused.
    :ivar worst: those addresses that it hit most often, with how often, the worst first.
    """

    limit: str
    refused: int
    worst: Sequence[tuple[str, int]]


class HitCounts:
    """
    What all limits have done.

    :ivar totals: how many each has refused since the start, by its name.
    """

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter({limit.title: 0 for limit in Limit})
        self._recent: dict[Limit, tuple[int, Frequent]] = {}

    def add(self, limit: Limit, network: bytes) -> None:
        """
        A limit has refused somebody.

        :param network: of which address; see :func:`rdv.addresses.network_of`.
        """
        self.totals[limit.title] += 1
        count, frequent = self._recent.get(limit) or (0, Frequent())
        frequent.add(network)
        self._recent[limit] = (count + 1, frequent)

    def take(self, worst: int = 3) -> list[Hits]:
        """What has happened since this was asked last."""
        recent, self._recent = self._recent, {}
        return [
            Hits(limit.title, count, [(network_text(key), n) for key, n in frequent.most(worst)])
            for limit, (count, frequent) in recent.items()
        ]
