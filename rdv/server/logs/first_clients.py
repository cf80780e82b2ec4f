"""
Detects what the first clients of a server have in common, which may be a proxy that hides them all.

Behind a proxy that the server has not been told about, every client has the proxy's address. Peers
then dial the proxy, no direct path is found, and the limits per address apply to all clients
together.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger

from rdv.addresses import AddressSpace, host_of, parse_ip, space_of
from rdv.server.leg import Leg
from rdv.settings import ServerSettings

__all__ = ["FirstClients"]

log = Logger()

#: The number of clients that are examined.
_NUMBER = 50
_PUBLIC = AddressSpace.PUBLIC4 | AddressSpace.PUBLIC6

_UNTOLD = (
    "if there is a proxy in front, have it send the clients' addresses: in a PROXY header, with "
    "--listen haproxy:..., or in an HTTP header, with --observed-header"
)
_TOLD = (
    "check what the proxy in front puts into the PROXY header, or into the one named by "
    "--observed-header: it should be the client's address and port"
)


class FirstClients:
    """
    Examines the first clients, and logs once if something is wrong.

    :param settings: what the server was told about proxies.
    """

    def __init__(self, settings: ServerSettings) -> None:
        has_proxy = any(each.startswith("haproxy:") for each in (*settings.listen, *settings.tls))
        self._remedy = _TOLD if has_proxy or settings.observed_header else _UNTOLD
        self._left = _NUMBER
        self._hosts: set[str] = set()
        self._is_one_public = False
        self._is_one_expected = False

    def __call__(self, leg: Leg) -> None:
        """A client has entered."""
        if self._left:
            self._look(leg)

    def _look(self, leg: Leg) -> None:
        host = host_of(leg.observed)
        self._hosts.add(host)
        self._is_one_public |= _is_public(host)
        self._is_one_expected = self._is_one_expected or _expects_public(leg)
        if self._is_one_public and len(self._hosts) > 1:
            self._left = 0  # nothing is wrong
            return
        self._left -= 1
        if not self._left and (finding := self._finding()):
            text = f"{finding}; {self._remedy}"
            log.warn("{text}", event="hidden", text=text)

    def _finding(self) -> str:
        if self._hosts == {""}:
            return f"the address of none of the first {_NUMBER} clients is known"
        if len(self._hosts) == 1:
            return f"the first {_NUMBER} clients all come from {next(iter(self._hosts))}"
        if self._is_one_expected:
            return f"none of the first {_NUMBER} clients comes from a public address"
        return ""


def _is_public(host: str) -> bool:
    try:
        return bool(space_of(parse_ip(host)) & _PUBLIC)
    except ValueError:  # unknown
        return False


def _expects_public(leg: Leg) -> bool:
    """Whether the client has connected to a public address, or reports that it has one."""
    here = leg.transport.getHost()
    is_here = isinstance(here, (IPv4Address, IPv6Address)) and _is_public(here.host)
    return is_here or any(_is_public(host_of(each)) for each in leg.addresses.split(", "))
