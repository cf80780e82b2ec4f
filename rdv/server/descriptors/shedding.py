"""
Chooses which connections to drop when descriptors run short: those that are not clients, because
their request is incomplete, or has already been refused.

A client is in that state for one or two round trips. Addresses with many such connections therefore
lose them first, starting with the oldest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from rdv.addresses import network_of

__all__ = ["YOUNG", "Holder", "whom_to_drop"]

#: Seconds that a request from an address with only a few connections may take, and a response on
#: its way to a client.
YOUNG = 1.0


class Holder(NamedTuple):
    """
    A connection that is not a client.

    :ivar since: when it was accepted, or its request was refused.
    :ivar host: the address at its other end; empty if unknown.
    :ivar drop: closes it without waiting for anything; False if that would be wrong at the moment.
    """

    since: float
    host: str
    drop: Callable[[], bool]


def whom_to_drop(
    holders: Iterable[Holder], number: int, few: Sequence[int], now: float
) -> list[Holder]:
    """
    Choose up to ``number``: always the oldest connection of the network that has most of the
    remaining ones.

    :param few: a network with no more connections than this keeps its young ones. If that does not
        yield enough, the next number applies, and so on: many networks, each with few connections,
        can fill a server with young ones.
    """
    by_host: dict[str, list[Holder]] = {}
    for each in holders:
        by_host.setdefault(each.host, []).append(each)
    groups: dict[bytes, list[Holder]] = {}
    for host, members in by_host.items():
        groups.setdefault(_network(host), []).extend(members)
    for members in groups.values():
        members.sort(key=_since, reverse=True)
    chosen: list[Holder] = []
    for fewer in few:
        _choose(chosen, filter(None, groups.values()), number, fewer, now)
    return chosen


def _choose(
    chosen: list[Holder], groups: Iterable[list[Holder]], number: int, few: int, now: float
) -> None:
    """Move members of the groups to ``chosen``, until it has ``number`` of them."""
    # The index in each entry is unique, so the groups themselves are never compared.
    queue = [
        (-len(members), members[-1].since, index, members) for index, members in enumerate(groups)
    ]
    heapify(queue)
    while queue and len(chosen) < number:
        size, since, index, members = queue[0]
        if -size <= few and since > now - YOUNG:
            heappop(queue)
            continue
        chosen.append(members.pop())
        if members:
            heapreplace(queue, (size + 1, members[-1].since, index, members))
        else:
            heappop(queue)


def _since(holder: Holder) -> float:
    return holder.since


def _network(host: str) -> bytes:
    try:
        return network_of(host)
    except ValueError:  # unknown; all such addresses count as one network
        return b""
