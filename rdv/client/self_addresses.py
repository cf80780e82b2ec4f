"""
This host's own addresses, the useful ones first, and from which of them it would reach another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from twisted.logger import Logger

from rdv._system.interfaces import InterfaceAddress, interface_addresses, route_to
from rdv.addresses import Address, AddressSpace, space_of

__all__ = ["SelfAddresses", "own_addresses", "ranked"]

log = Logger()

#: Tells this host's addresses, given the number of the port.
SelfAddresses: TypeAlias = Callable[[int], Iterable[Address]]

#: Hosts out in the internet, which stay where they are: a root name server. They get no packet.
_FAR = (IPv4Address("198.41.0.4"), IPv6Address("2001:503:ba3e::2:30"))

_PUBLIC = AddressSpace.PUBLIC4 | AddressSpace.PUBLIC6
_PRIVATE = AddressSpace.PRIVATE4 | AddressSpace.PRIVATE6
_LINK = AddressSpace.LINK4 | AddressSpace.LINK6


def own_addresses(port: int) -> list[Address]:
    """
    The addresses of this host, each with ``port``; those by which others are most likely to reach
    it come first, as only the first nine are told to the peer.

    In this order: from where this host reaches the internet; public addresses; private ones; those
    of bridges; deprecated ones; public ones of interfaces without a carrier; link-local ones;
    loopback. Left out are interfaces that are down, and private addresses of those without a
    carrier, such as the bridges of containers that do not run. Systems other than Linux tell
    nothing of that.

    It takes some ten microseconds for each interface, and sends nothing.
    """
    try:
        known = interface_addresses()
    except OSError as error:  # a sandbox
        log.debug("cannot list the interfaces: {error}", error=error)
        known = []
    sources = [source for ip in _FAR if (source := route_to(ip)) is not None]
    return [Address(ip, port) for ip in ranked(known, sources)]


def ranked(
    known: Iterable[InterfaceAddress], sources: Sequence[IPv4Address | IPv6Address]
) -> list[IPv4Address | IPv6Address]:
    """
    What :func:`own_addresses` says, without duplicates.

    :param known: in the order that is kept among equals.
    :param sources: from where this host reaches the internet. They stay whatever is known of them.
    """
    ranks = [(rank, each.ip) for each in known if (rank := _rank(each)) is not None]
    ranks.sort(key=lambda pair: pair[0])
    return list(dict.fromkeys([*sources, *(ip for _, ip in ranks)]))


def _rank(address: InterfaceAddress) -> int | None:
    """Its place; None when it helps nobody."""
    space = space_of(address.ip)
    if space is AddressSpace.LOOPBACK:
        return 6
    if not address.carrier:
        # A router may send a public one here all the same, by way of another interface.
        return 4 if space & _PUBLIC else None
    if space & _LINK:
        return 5
    if address.deprecated:
        return 3
    if space & _PUBLIC:
        return 0
    if space & _PRIVATE:
        return 2 if address.bridge else 1
    return None
