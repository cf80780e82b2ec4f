"""
What a 101 of our server contains in addition to rdv/1. A client may ignore all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

__all__ = ["OTHER_PORTS", "RELAY", "elements", "other_ports", "relays", "said_beyond"]

#: The server's other ports.
OTHER_PORTS = b"Rdv-Other-Ports"
#: ``none`` when the server does not relay.
RELAY = b"Rdv-Relay"

#: See :data:`rdv.wire.HeaderLookup`.
_HeaderLookup: TypeAlias = Callable[[bytes], Sequence[bytes]]


def said_beyond(ports: Sequence[int], relays: bool) -> str:
    """Lines of a 101's head, each with its end."""
    named = f"{OTHER_PORTS.decode()}: {', '.join(map(str, ports))}\r\n" if ports else ""
    return named if relays else f"{named}{RELAY.decode()}: none\r\n"


def other_ports(header: _HeaderLookup) -> list[int]:
    """The ports that a 101 names besides the one that was contacted. Invalid ones are ignored."""
    digits = (each for each in elements(header(OTHER_PORTS)) if each.isdigit() and len(each) <= 5)
    ports = map(int, digits)
    return [port for port in ports if 0 < port <= 0xFFFF]


def relays(header: _HeaderLookup) -> bool:
    """Whether the server relays, according to its 101."""
    return elements(header(RELAY)) != [b"none"]


def elements(values: Iterable[bytes]) -> list[bytes]:
    """The elements of a list-valued header of case-insensitive tokens (RFC 9110, 5.6.1)."""
    found = (e.strip(b" \t").lower() for value in values for e in value.split(b","))
    return [element for element in found if element]
