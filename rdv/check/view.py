"""
How the server sees this host, according to the observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from itertools import pairwise

from rdv.addresses import Address, AddressSpace, is_local, space_of
from rdv.check.observations import Cause, Observations, Sighting

__all__ = [
    "Destinations",
    "Mapping",
    "Sight",
    "destinations_of",
    "is_carriers",
    "is_here",
    "is_public",
    "mapping_of",
    "sight_of",
    "steps_of",
]

#: RFC 6598: between a carrier's NAT and its customers. To a peer it counts as public.
_CARRIERS = IPv4Network("100.64.0.0/10")
#: The maximum step between the ports of two successive connections that counts as sequential. It is
#: more than 1 because others use the NAT meanwhile.
_SMALL_STEP = 32


class Sight(Enum):
    """The address with which the server sees this host; each value is the name of its text."""

    #: There was no meeting.
    NOTHING = ""
    #: At the address of our proxy.
    PROXIED = "proxied"
    #: The server is on this host.
    SAME_HOST = "same-host"
    #: At one of this host's addresses.
    OWN = "no-nat"
    #: The server names no address.
    UNTOLD = "untold"
    #: At an address that only has a meaning near the server: of a proxy, or of a NAT on its side.
    MEANINGLESS = "hidden"
    #: At one of this host's addresses, but at other ports: those of a proxy on this host.
    OTHER_PORTS = "hidden/other-ports"
    #: At another host's address, although the server was reached on this host.
    TUNNEL = "hidden/tunnel"
    #: At the server's own address: there is a proxy, or both are behind one router.
    SERVERS = "perhaps-hidden/server"
    #: At a public address, although this host connects from another public one.
    OTHER_PUBLIC = "perhaps-hidden/public"
    #: At another address in the network that it shares with the server.
    INSIDE = "inside-nat"
    #: At a public address that this host does not have.
    NAT = "nat"


class Mapping(Enum):
    """How the ports of new connections are mapped; each value is the name of its text."""

    UNKNOWN = "ports-unknown"
    KEPT = "ports-kept"
    #: At least half of them are kept.
    MOSTLY_KEPT = "ports-mostly-kept"
    #: Each is a little above the one before.
    SEQUENTIAL = "ports-sequential"
    CHANGED = "ports-changed"


class Destinations(Enum):
    """
    Whether one port is mapped alike for two ports of the server; each value is the name of its
    text.
    """

    #: The server names no other port.
    NOT_OFFERED = "mapping-untold/not-offered"
    #: It does, but there was no time.
    NOT_TRIED = "mapping-untold/not-tried"
    #: It does, but could not be reached there.
    UNREACHABLE = "second-port"
    #: It did not report what it observed, or something else went wrong.
    UNTOLD = "mapping-untold/failed"
    SAME = "mapping-same"
    DIFFERENT = "mapping-differs"


def is_carriers(ip: IPv4Address | IPv6Address) -> bool:
    """Whether it is a shared address, which carriers give to customers behind their NAT."""
    return isinstance(ip, IPv4Address) and ip in _CARRIERS


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Whether the internet could reach it if nothing were in between."""
    return space_of(ip) in AddressSpace.PUBLIC4 | AddressSpace.PUBLIC6 and not is_carriers(ip)


def is_here(address: Address, observations: Observations) -> bool:
    """Whether it is an address of this host."""
    return _is_loopback(address) or address.ip in observations.own


def sight_of(observations: Observations) -> Sight:
    """
    How the server sees the new ports of this host.

    It is certain that an address is missing or has no meaning here, but a proxy is only the most
    likely reason. A proxy with a public address cannot be distinguished from a NAT.
    """
    sightings, server = observations.sightings, observations.server
    if not sightings or server is None:
        return Sight.NOTHING
    if observations.proxy is not None:
        return Sight.PROXIED
    seen = [each.observed for each in sightings]
    known = [address for address in seen if address is not None]
    if len(known) < len(seen):
        return Sight.UNTOLD
    kept = mapping_of(sightings) is Mapping.KEPT
    if is_here(server, observations):
        if not all(is_here(each, observations) for each in known):
            return Sight.TUNNEL
        return Sight.SAME_HOST if kept else Sight.OTHER_PORTS
    if all(address.ip in observations.own for address in known):
        return Sight.OWN if kept else Sight.OTHER_PORTS
    if any(map(_is_loopback, known)):
        return Sight.MEANINGLESS
    if any(map(is_local, known)):
        return Sight.INSIDE if is_local(server) else Sight.MEANINGLESS
    if any(address.ip == server.ip for address in known):
        return Sight.SERVERS
    if observations.source is not None and is_public(observations.source):
        return Sight.OTHER_PUBLIC
    return Sight.NAT


def steps_of(sightings: Sequence[Sighting]) -> list[int]:
    """The steps from each observed port to the next one."""
    ports = [each.observed.port for each in sightings if each.observed is not None]
    return [later - earlier for earlier, later in pairwise(ports)]


def mapping_of(sightings: Sequence[Sighting]) -> Mapping:
    """:param sightings: in the order of the connections."""
    known = [(each.local_port, each.observed.port) for each in sightings if each.observed]
    kept = [local == observed for local, observed in known]
    if not known:
        return Mapping.UNKNOWN
    if all(kept):
        return Mapping.KEPT
    if sum(kept) * 2 >= len(kept):
        return Mapping.MOSTLY_KEPT
    steps = steps_of(sightings)
    if not steps:
        return Mapping.UNKNOWN
    if all(0 < step <= _SMALL_STEP for step in steps):
        return Mapping.SEQUENTIAL
    return Mapping.CHANGED


def destinations_of(observations: Observations) -> Destinations:
    """What the meeting by two ports shows."""
    second = observations.second
    if not observations.other_ports:
        return Destinations.NOT_OFFERED
    if second is None:
        return Destinations.NOT_TRIED
    if second.failure is not None and second.failure.what is Cause.UNREACHABLE:
        return Destinations.UNREACHABLE
    seen = [each.observed for each in second.sightings if each.observed is not None]
    if len(seen) < 2:
        return Destinations.UNTOLD
    return Destinations.SAME if seen[0] == seen[1] else Destinations.DIFFERENT


def _is_loopback(address: Address) -> bool:
    return space_of(address.ip) is AddressSpace.LOOPBACK
