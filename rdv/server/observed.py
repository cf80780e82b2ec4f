"""
Finds the observed address of a client, which the server reports to the client and to its peer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.iweb import IRequest

from rdv import _knobs as knobs
from rdv.addresses import Address, endpoint_text, parse_address, parse_ip

__all__ = ["ObservedAddress", "forwarded_address", "peer_address"]

#: Returns the address from which a client came; None if it is unknown.
ObservedAddress: TypeAlias = Callable[[IRequest], Address | None]

#: Text, and a quoted string, in which commas and semicolons separate nothing.
_PLAIN, _QUOTED = r'[^",;\\]', r'"(?:[^"\\]|\\.)*"'
#: The last element of a list, which the proxy has added. Its quotes are balanced, so a quote that
#: the client has left open does not reach into it.
_LAST = re.compile(rf"(?:^|,)((?:{_PLAIN}|;|{_QUOTED})*)$", re.DOTALL)
_FORWARDED_FOR = re.compile(
    rf'(?:(?:{_PLAIN}|{_QUOTED})*;)*?\s*for=(?:"([^"\\]*)"\s*|({_PLAIN}*))(?:;|$)', re.IGNORECASE
)


def peer_address(request: IRequest) -> Address | None:
    """
    The address of the other end of the connection, or the one in a PROXY header if the site listens
    on a ``haproxy:`` endpoint.
    """
    client = request.getClientAddress()
    if isinstance(client, (IPv4Address, IPv6Address)):
        with suppress(ValueError):  # a PROXY header may contain something else
            return parse_address(endpoint_text(client.host, client.port))
    return None


def forwarded_address(header: str, port_header: str | None = None) -> ObservedAddress:
    """
    Trust a header that a reverse proxy sets. Use this only if every request comes through that
    proxy, and if the proxy overwrites the header or appends to it.

    The last element counts, which the nearest proxy has added. It must include the port
    (``1.2.3.4:5678``, or ``for="1.2.3.4:5678"`` in ``Forwarded``, RFC 7239), unless ``port_header``
    names a header with the port. Without the client's port the address is unknown; a port is never
    guessed. (``X-Forwarded-Port`` is commonly the *server's* port.)

    :param header: for instance ``X-Forwarded-For``.
    :param port_header: for instance ``X-Real-Port``; must contain the client's source port.
    :raises TypeError: when one of them is not text.
    """
    knobs.instance("header", header, str, "the name of a header")
    knobs.instance("port_header", port_header, (str, type(None)), "the name of a header")

    def last(request: IRequest, name: str) -> str:
        values: list[str] = request.requestHeaders.getRawHeaders(name, [""])
        found = _LAST.search(values[-1])
        return found[1].strip() if found else ""

    def observed(request: IRequest) -> Address | None:
        try:
            text = last(request, header)
            if found := _FORWARDED_FOR.match(text):
                text = (found[1] or found[2]).strip()
            if port_header is None:
                return parse_address(text)
            ip = parse_ip(text.strip("[]"))
            return parse_address(f"{Address(ip, 0)}".removesuffix("0") + last(request, port_header))
        except ValueError:
            return None

    return observed
