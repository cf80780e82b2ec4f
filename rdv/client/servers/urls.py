"""
Several servers for one token: which one is contacted first.

Both peers know the same token and the same servers, and have no other way to agree. Each therefore
sorts them by a hash of token and URL. :doc:`protocol` specifies the order byte by byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from hyperlink import URL

from rdv import _knobs as knobs
from rdv._secure.secret import Token, server_token
from rdv.addresses import Address, parse_ip
from rdv.client.order import weight
from rdv.client.parsing import parse_server_url
from rdv.errors import BadURL

__all__ = [
    "Place",
    "Servers",
    "canonical",
    "others",
    "parse_servers",
    "rank_servers",
    "ranked",
    "shown",
    "split_servers",
]

#: The URL of one server, or of several.
Servers = str | Sequence[str]

#: A waiting client takes a place at each.
MAX_SERVERS = 8

_BETWEEN = re.compile(r"\s*,\s*(?=[a-z]+://)", re.IGNORECASE)


class Place(NamedTuple):
    """
    A place to contact: a server, or one of the machines behind its name.

    :ivar address: the machine's address; None for the first machine, or for any that is reachable.
    :ivar is_last: whether IPv6 may be tried after it.
    """

    url: URL
    address: Address | None = None
    is_last: bool = False

    def __str__(self) -> str:
        text = self.url.to_text()
        return text if self.address is None else f"{text} at {self.address}"


def others(url: URL, addresses: Sequence[Address]) -> list[Place]:
    """
    The other places to contact for a server whose name has several addresses.

    :param addresses: all but the first, in the order in which both peers try them.
    """
    return [Place(url, each, is_last=each is addresses[-1]) for each in addresses]


def split_servers(text: str) -> list[str]:
    """Split several URLs in one text: ``https://a.example/rdv,https://b.example/rdv``."""
    return _BETWEEN.split(text.strip())


def shown(servers: Servers) -> str:
    """Several URLs in one text: the inverse of :func:`split_servers`."""
    return servers if isinstance(servers, str) else ",".join(servers)


def parse_servers(given: Servers) -> list[URL]:
    """
    One URL or several, each once.

    :raises BadURL: when one is invalid, there is none at all, or there are too many.
    :raises TypeError: when it is something else.
    """
    if isinstance(given, str):
        return [parse_server_url(given)]
    texts = list(knobs.instance("url", given, Sequence, "text, or a list of texts"))
    urls = [parse_server_url(each) for each in texts]
    by_name = {canonical(url): url for url in reversed(urls)}
    if not 0 < len(by_name) <= MAX_SERVERS:
        raise BadURL(f"1 to {MAX_SERVERS} servers are needed, not {len(by_name)}")
    return [by_name[name] for name in dict.fromkeys(map(canonical, urls))]


def rank_servers(token: Token, urls: Sequence[str]) -> list[str]:
    """
    The URLs in the order in which the peers of a token contact these servers. If you run more
    servers than a client should use, give the first few of this list to both peers.

    :param urls: any number of them.
    :raises BadURL: when one is invalid.
    :raises BadToken: if the token is invalid, or ``BadSecret``.
    """
    on_wire = server_token(token)
    return sorted(urls, key=lambda url: weight(on_wire, _name_of(url)), reverse=True)


def ranked(token: bytes, urls: Sequence[URL]) -> list[URL]:
    """
    The order in which servers are contacted.

    :param token: as sent to the server.
    """
    if len(urls) == 1:
        return list(urls)
    names = {url: canonical(url) for url in urls}
    return sorted(names, key=lambda url: weight(token, names[url]), reverse=True)


@lru_cache(maxsize=1 << 14)  # for a fleet: parsing a URL takes fifty times as long as the rest
def _name_of(text: str) -> str:
    return canonical(parse_server_url(text))


def canonical(url: URL) -> str:
    """
    The name of a server in the hash: scheme, host, port and path. URLs that are equivalent by RFC
    3986, 6.2.2, have the same name. A query may differ between the peers.

    :param url: as ``parse_server_url`` reads it.
    """
    plain = url.to_uri().normalize()
    host = plain.host.removesuffix(".")
    if ":" in host:
        ip = parse_ip(host)
        host = f"[{ip}]" if ip.version == 6 else str(ip)
    return f"{plain.scheme}://{host}:{plain.port}/{'/'.join(plain.path)}"
