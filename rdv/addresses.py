"""
Addresses: parsing and formatting of ``ip:port`` lists, and address spaces.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

__all__ = [
    "Address",
    "AddressSpace",
    "canonical_address",
    "endpoint_address",
    "endpoint_text",
    "format_addresses",
    "host_of",
    "is_local",
    "network_of",
    "network_text",
    "packed_ip",
    "parse_address",
    "parse_ip",
    "space_of",
]

#: The prefix of an IPv6 address that contains an IPv4 address.
_MAPPED = bytes(10) + b"\xff\xff"


class AddressSpace(enum.Flag):
    """
    Kinds of IP addresses, to choose which of them a client reports, dials and accepts from.

    ``AddressSpace(0)`` contains no address and so forces the relay.
    """

    PUBLIC4 = enum.auto()
    PUBLIC6 = enum.auto()
    PRIVATE4 = enum.auto()
    PRIVATE6 = enum.auto()
    LINK4 = enum.auto()
    LINK6 = enum.auto()
    LOOPBACK = enum.auto()

    NONE = 0
    DEFAULT = PUBLIC4 | PUBLIC6 | PRIVATE4 | PRIVATE6
    ALL = DEFAULT | LINK4 | LINK6 | LOOPBACK


class Address(NamedTuple):
    """
    A TCP address. IPv4-mapped IPv6 addresses do not occur: :func:`parse_ip` unwraps them.
    """

    ip: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return _format(self.ip.packed, self.port)


def _table(
    *networks: tuple[IPv4Network | IPv6Network, AddressSpace],
) -> list[tuple[int, int, AddressSpace]]:
    """Masks and addresses as numbers: ``in`` takes five times as long."""
    return [(int(n.netmask), int(n.network_address), space) for n, space in networks]


# RFC 1918, RFC 3927, RFC 4193, RFC 4291. ``ipaddress.is_private`` is another, changing table.
_SPACES4 = _table(
    (IPv4Network("10.0.0.0/8"), AddressSpace.PRIVATE4),
    (IPv4Network("172.16.0.0/12"), AddressSpace.PRIVATE4),
    (IPv4Network("192.168.0.0/16"), AddressSpace.PRIVATE4),
    (IPv4Network("169.254.0.0/16"), AddressSpace.LINK4),
    (IPv4Network("127.0.0.0/8"), AddressSpace.LOOPBACK),
    (IPv4Network("224.0.0.0/4"), AddressSpace.NONE),
    (IPv4Network("0.0.0.0/32"), AddressSpace.NONE),
    (IPv4Network("255.255.255.255/32"), AddressSpace.NONE),
    (IPv4Network("0.0.0.0/0"), AddressSpace.PUBLIC4),
)
_SPACES6 = _table(
    (IPv6Network("fc00::/7"), AddressSpace.PRIVATE6),
    (IPv6Network("fe80::/10"), AddressSpace.LINK6),
    (IPv6Network("::1/128"), AddressSpace.LOOPBACK),
    (IPv6Network("ff00::/8"), AddressSpace.NONE),
    (IPv6Network("::/128"), AddressSpace.NONE),
    (IPv6Network("::/0"), AddressSpace.PUBLIC6),
)


def space_of(ip: IPv4Address | IPv6Address) -> AddressSpace:
    """
    The one space that ``ip`` belongs to; ``AddressSpace.NONE`` if it cannot be the address of a
    host (unspecified, multicast, broadcast). An IPv4-mapped address counts as the IPv4 one it
    holds.
    """
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return _found(int(ip), _SPACES6)
        ip = ip.ipv4_mapped
    return _found(int(ip), _SPACES4)


def _found(number: int, table: list[tuple[int, int, AddressSpace]]) -> AddressSpace:
    for mask, network, space in table:
        if number & mask == network:
            return space
    raise AssertionError("the last network has all addresses")


_LOCAL = (
    AddressSpace.PRIVATE4
    | AddressSpace.PRIVATE6
    | AddressSpace.LINK4
    | AddressSpace.LINK6
    | AddressSpace.LOOPBACK
)


def is_local(address: Address) -> bool:
    """Whether the address is only meaningful in its own network."""
    return bool(space_of(address.ip) & _LOCAL)


def parse_ip(text: str) -> IPv4Address | IPv6Address:
    """
    Parse an IP address without a zone. An IPv4-mapped one is unwrapped.

    :raises ValueError: when it is not an IP address.
    """
    packed = _pack(text)
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def parse_address(text: str) -> Address:
    """
    Parse ``1.2.3.4:80`` or ``[2001:db8::7]:80``.

    :raises ValueError: when it is neither.
    """
    host, port = _split(text)
    return Address(parse_ip(host), port)


def canonical_address(text: str) -> str:
    """
    The same as ``str(parse_address(text))``, in a fraction of the time: a server parses addresses
    only to check them and pass them on.

    :raises ValueError: as :func:`parse_address`.
    """
    host, _, digits = text.rpartition(":")
    if ":" not in host:
        # Most are in canonical form. The C library accepts only one spelling of an IPv4 address.
        try:
            inet_pton(AF_INET, host)
            if 0 <= int(digits) <= 0xFFFF and f"{host}:{int(digits)}" == text:
                return text
        except (OSError, ValueError):
            pass  # reported below
    host, port = _split(text)
    return _format(_pack(host), port)


def packed_ip(text: str) -> bytes:
    """
    The bytes of the IP address in ``1.2.3.4:80`` or ``[2001:db8::7]:80``, 4 or 16 of them.

    :raises ValueError: as :func:`parse_address`.
    """
    return _pack(_split(text)[0])


def endpoint_address(host: str, port: int) -> Address:
    """
    The address of a socket, or of its peer, from what the system returns. A zone is omitted.

    :raises ValueError: when ``host`` is not an IP address.
    """
    return Address(parse_ip(host.partition("%")[0]), port)


def endpoint_text(host: str, port: int) -> str:
    """
    The same as ``str(endpoint_address(host, port))``, in a fraction of the time.

    :raises ValueError: as :func:`endpoint_address`.
    """
    if ":" in host:
        return _format(_pack(host.partition("%")[0]), port)
    _pack(host)
    return f"{host}:{port}"


def host_of(text: str) -> str:
    """The IP address of an address as text, without brackets; empty for an empty text."""
    return text.rpartition(":")[0].strip("[]")


def network_of(host: str) -> bytes:
    """
    The addresses that count as one client, as bytes: one IPv4 address, or an IPv6 /64.

    :param host: an IP address; a zone is omitted.
    :raises ValueError: when it is not an IP address.
    """
    return _pack(host.partition("%")[0])[:8]


def network_text(network: bytes) -> str:
    """The same for a human: ``1.2.3.4`` or ``2001:db8::/64``."""
    if len(network) == 4:
        return inet_ntop(AF_INET, network)
    return inet_ntop(AF_INET6, network + bytes(8)) + "/64"


def format_addresses(addresses: Iterable[Address]) -> str:
    """The list as a header contains it: ``1.2.3.4:80, [2001:db8::7]:80``."""
    return ", ".join(map(str, addresses))


def _split(text: str) -> tuple[str, int]:
    """The two parts of an address, the first one unchanged."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    digits = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or bracketed != (":" in host) or not digits or int(port) > 0xFFFF:
        raise ValueError(f"not ip:port: {text[:64]!r}")
    return host, int(port)


def _pack(text: str) -> bytes:
    """The bytes of an IP address, 4 or 16 of them. An IPv4-mapped one is unwrapped."""
    # The C library takes a tenth of the time of ``ipaddress``, which goes digit by digit.
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        return inet_pton(AF_INET6, text).removeprefix(_MAPPED)
    except (OSError, ValueError):  # ValueError: a character that is not ASCII, or a null
        raise ValueError(f"not an IP address: {text[:64]!r}") from None


def _format(packed: bytes, port: int) -> str:
    if len(packed) == 4:
        return f"{inet_ntop(AF_INET, packed)}:{port}"
    return f"[{inet_ntop(AF_INET6, packed)}]:{port}"
