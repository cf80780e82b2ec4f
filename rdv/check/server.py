"""
The way to the server: name, addresses, TLS. No request is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyperlink import URL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol

from rdv.addresses import Address
from rdv.check.observations import Dial
from rdv.check.together import all_of
from rdv.client.dial.socket import dial
from rdv.client.http.server_endpoint import resolve
from rdv.client.reasons import describe

__all__ = ["dial_all", "host_of", "lookup"]

#: No more addresses of a server than this are dialled.
_MOST = 6


def host_of(url: URL) -> str:
    """The host that a server's URL names, as it is looked up."""
    return url.to_uri().host.strip("[]")


async def lookup(reactor: Any, url: URL, timeout: float) -> tuple[list[Address], str | None]:
    """
    :param timeout: seconds, for IPv4 and again for IPv6.
    :return: the server's addresses, IPv4 first, and if there are none, why.
    """
    found: list[Address] = []
    problem: str | None = None
    for kind in (IPv4Address, IPv6Address):
        try:
            found += await resolve(reactor, host_of(url), url.port or 0, kind, timeout)
        except DeferTimeoutError:
            problem = "no answer in time"
    return found[:_MOST], None if found else problem or "the name does not resolve"


async def dial_all(reactor: Any, addresses: Sequence[Address], timeout: float) -> list[Dial]:
    """Connect to each, all at once, and close that again."""
    dials = [Deferred.fromCoroutine(_dial(reactor, each, timeout)) for each in addresses]
    return await all_of(dials)


async def _dial(reactor: Any, address: Address, timeout: float) -> Dial:
    begun = reactor.seconds()
    try:
        protocol = await dial(reactor, 0, address, _Closing(), timeout)
    except ConnectError as error:
        return Dial(address, None, describe(error))
    took = reactor.seconds() - begun
    await protocol.gone
    return Dial(address, took)


class _Closing(Protocol):
    """Closes its connection at once."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        self.gone.callback(None)
