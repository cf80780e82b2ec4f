"""
Chooses which client makes room when the lobby is full: one from the network with the most waiting
clients.

An attacker with any number of addresses therefore has no more places at each of them than an honest
client needs at its own. A network is an IPv4 address, or an IPv6 /64. If no network has at least
two more than the newcomer's (which would only swap the two), the same rule is applied to /48
networks: anyone can have one, with 65,536 networks in it. For the same reason, nobody in another
/48 makes room for a newcomer whose own /48 already has as many clients, however few its /64 has.

Within a network, the youngest client makes room. A client behind the same NAT as an attacker has
usually been there before, and stays; the attacker's own newer clients come and go while older
ones lose nothing, so retrying does not help. Choosing the oldest would be wrong: they may be
programs that are always waiting, and the last to arrive would be safe.

A client with an unknown address, or behind a proxy that hides its clients, is in no network: it
does not make room, and nobody makes room for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["Crowds"]

M = TypeVar("M")

#: The length of a network in bytes: all of it, and that of an IPv6 /48. An IPv4 address has four.
_LENGTHS = (8, 6)


class _Groups(Generic[M]):
    """Members grouped by the first bytes of their networks, and which group is largest."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._groups: dict[bytes, dict[M, None]] = {}
        #: The groups of each size, from 0 to that of the largest one.
        self._of_size: list[dict[bytes, None]] = [{}]

    def add(self, member: M, network: bytes) -> None:
        key = network[: self._length]
        group = self._groups.setdefault(key, {})
        self._of_size[len(group)].pop(key, None)
        group[member] = None
        if len(group) == len(self._of_size):
            self._of_size.append({})
        self._of_size[len(group)][key] = None

    def discard(self, member: M, network: bytes) -> None:
        key = network[: self._length]
        group = self._groups[key]
        del self._of_size[len(group)][key]
        if not self._of_size[-1]:
            self._of_size.pop()
        del group[member]
        if group:
            self._of_size[len(group)][key] = None
        else:
            del self._groups[key]

    def size(self, network: bytes) -> int:
        """The number of members in the group of ``network``."""
        return len(self._groups.get(network[: self._length], ()))

    def youngest(self, network: bytes) -> M | None:
        """The last member of the largest group, if it has two more than that of ``network``."""
        if len(self._of_size) - 1 < self.size(network) + 2:
            return None
        return next(reversed(self._groups[next(reversed(self._of_size[-1]))]))


class Crowds(Generic[M]):
    """
    The waiting clients by network.

    :param members: the waiting clients with their networks, in the order of arrival.
    :ivar few: with this many members or fewer, this object is no longer needed.
    """

    def __init__(self, members: Iterable[tuple[M, bytes]]) -> None:
        self._networks: dict[M, bytes] = {}
        self._levels = [_Groups[M](length) for length in _LENGTHS]
        for member, network in members:
            self.add(member, network)
        self.few = len(self._networks) // 2

    def add(self, member: M, network: bytes) -> None:
        """Add a client."""
        if network:
            self._networks[member] = network
            for groups in self._levels:
                groups.add(member, network)

    def discard(self, member: M) -> None:
        """Remove a client."""
        network = self._networks.pop(member, None)
        if network is not None:
            for groups in self._levels:
                groups.discard(member, network)

    def yielding(self, network: bytes) -> M | None:
        """The client that makes room for one from that network; None if there is none."""
        if not network:
            return None
        fine, coarse = self._levels
        member = fine.youngest(network)
        if member is not None:
            theirs = self._networks[member]
            is_near = theirs[: _LENGTHS[1]] == network[: _LENGTHS[1]]
            if is_near or coarse.size(theirs) >= coarse.size(network) + 2:
                return member
        return coarse.youngest(network)
