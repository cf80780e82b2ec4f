"""
``--allow`` and ``--deny``: checks of the client's address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from rdv._secret_file import lines_of
from rdv.errors import RdvError
from rdv.server.access.door import Visitor
from rdv.server.refusals import DENIED, bad_request

__all__ = ["AddressLists", "Networks", "parse_network"]

Network: TypeAlias = IPv4Network | IPv6Network

#: Text that is meant as a network, even if it is not a valid one, and not as the name of a file.
_LIKE_ONE = re.compile(r"[0-9][0-9.]*(/.*)?|[0-9a-f]*:[0-9a-f:.]*(/.*)?", re.IGNORECASE)
#: IPv6 addresses that stand for IPv4 addresses.
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """
    Parse ``192.0.2.0/24`` or ``2001:db8::/32``; an address is a network with one member.

    :raises ValueError: when it is not a network; the message shows the right form.
    """
    shown = repr(text[:64])
    try:
        network = ip_network(text, strict=False) if "%" not in text else None
    except ValueError:
        network = None
    if network is None:
        raise ValueError(f"not a network such as 192.0.2.0/24 or 2001:db8::/32: {shown}")
    if network.prefixlen < network.max_prefixlen and "/" in text:
        base = text.partition("/")[0]
        if ip_network(base).network_address != network.network_address:
            raise ValueError(f"not a network, but an address in the network {network}: {shown}")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((network.network_address.packed[12:], network.prefixlen - 96))
    return network


class Networks:
    """
    A set of addresses. The time of a look-up depends on the number of different prefix lengths, not
    on the number of networks.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        # By the length of an address in bytes and the number of host bits: the network prefixes.
        self._heads: dict[int, dict[int, set[int]]] = {4: {}, 16: {}}
        for network in networks:
            base = network.network_address.packed
            behind = network.max_prefixlen - network.prefixlen
            heads = self._heads[len(base)].setdefault(behind, set())
            heads.add(int.from_bytes(base) >> behind)

    def __contains__(self, ip: bytes) -> bool:
        number = int.from_bytes(ip)
        return any(number >> behind in heads for behind, heads in self._heads[len(ip)].items())


class AddressLists:
    """
    A check: the client's address is in an allowed network, if there are any, and not in a denied
    one. An unknown address is in no network.

    :param allow: networks, or names of files with one network a line.
    :param deny: likewise.
    :raises RdvError: when an entry is neither, or a file cannot be read.
    """

    def __init__(self, allow: Sequence[str], deny: Sequence[str]) -> None:
        self._named = allow, deny
        self.reload()

    def reload(self) -> None:
        allow, deny = [Networks(_networks(named)) for named in self._named]
        self._allowed = allow if self._named[0] else None
        self._denied = deny

    def __call__(self, visitor: Visitor) -> None:
        ip = visitor.ip
        if ip is None:
            refused = self._allowed is not None
        else:
            refused = ip in self._denied or (self._allowed is not None and ip not in self._allowed)
        if refused:
            raise bad_request(DENIED)


def _networks(named: Sequence[str]) -> Iterator[Network]:
    for text in named:
        if _LIKE_ONE.fullmatch(text):
            yield _network(text, "")
        else:
            for number, line in lines_of(text):
                yield _network(line, f"{text}, line {number}: ")


def _network(text: str, where: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise RdvError(f"{where}{error}") from None
