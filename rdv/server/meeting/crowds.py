"""
Who gives way when no more may wait: one of the network that has most of those who do.

So an attacker with any number of addresses has no more places at each of them than an honest one
wants at its own. A network is one address of IPv4, or a /64 of IPv6. Where none has two more than
whoever comes, which would only change places with them, it is asked of which /48 most are: anybody
can have one, with 65,536 networks in it.

Of those of a network the youngest gives way. Who waits behind the same NAT as an attacker was
mostly there before, and stays; and the attacker's own come and go while his older ones lose
nothing, so there is no use in coming again and again. The oldest ones would be the wrong ones: they
may be programs that are always there, and whoever came last would be safe.

Who comes from nowhere that is known, or from a proxy that hides its clients, is in no network: it
does not give way, and nobody gives way to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["Crowds"]

M = TypeVar("M")

#: Bytes of a network: all, and those of a /48 of IPv6; an IPv4 address has four.
_LENGTHS = (8, 6)


class _Groups(Generic[M]):
    """Members by the first bytes of their networks, and which of them has most."""

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

    def youngest(self, network: bytes) -> M | None:
        """The last one of the largest group, if that has two more than that of ``network``."""
        own = self._groups.get(network[: self._length], ())
        if len(self._of_size) - 1 < len(own) + 2:
            return None
        return next(reversed(self._groups[next(reversed(self._of_size[-1]))]))


class Crowds(Generic[M]):
    """
    Those who wait, by where they come from.

    :param members: who is in, with its network, in the order in which they came.
    :ivar few: with no more than so many there is no need of this any longer.
    """

    def __init__(self, members: Iterable[tuple[M, bytes]]) -> None:
        self._networks: dict[M, bytes] = {}
        self._levels = [_Groups[M](length) for length in _LENGTHS]
        for member, network in members:
            self.add(member, network)
        self.few = len(self._networks) // 2

    def add(self, member: M, network: bytes) -> None:
        """One comes."""
        if network:
            self._networks[member] = network
            for groups in self._levels:
                groups.add(member, network)

    def discard(self, member: M) -> None:
        """One leaves."""
        network = self._networks.pop(member, None)
        if network is not None:
            for groups in self._levels:
                groups.discard(member, network)

    def yielding(self, network: bytes) -> M | None:
        """Who gives way to somebody from there; None when nobody has to."""
        if not network:
            return None
        found = (groups.youngest(network) for groups in self._levels)
        return next((member for member in found if member is not None), None)
