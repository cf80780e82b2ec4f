"""
The order in which two peers try the places that they both know: rendezvous hashing ("highest random
weight").

It is the same for both, regardless of the order in which they got the list, and different for each
token. Adding or removing a place does not change the order of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from rdv.addresses import Address, space_of

__all__ = ["address_order", "weight"]


def weight(token: bytes, name: str) -> bytes:
    """
    The weight of a place. The place with the highest weight comes first.

    :param token: as sent to the server.
    :param name: ASCII.
    """
    return sha256(token + b"\n" + name.encode()).digest()


def address_order(token: bytes, addresses: Sequence[Address]) -> list[Address]:
    """
    The order in which addresses of one name and one kind, IPv4 or IPv6, are tried. Resolvers return
    them in any order, and each may be another machine.

    The order of spaces is left to the resolver: a private address next to a public one is not
    another machine but another path, which is not open to all clients. If all addresses belong to
    one service, such as a CDN, any order is correct.
    """
    spaces = list(dict.fromkeys(space_of(address.ip) for address in addresses))
    ordered = sorted(addresses, key=lambda address: weight(token, str(address)), reverse=True)
    return sorted(ordered, key=lambda address: spaces.index(space_of(address.ip)))
