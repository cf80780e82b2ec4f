"""
The ports that a server reports to its clients.

A client that sends requests from one local port to two ports of the server learns whether its NAT
uses the same mapping for both. This is what ``rdv check`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ISSLTransport

from rdv._transport.interfaces import StreamTransport
from rdv.addresses import endpoint_address

__all__ = ["Ports"]

_IP: TypeAlias = IPv4 | IPv6
_NOWHERE: Mapping[int, frozenset[_IP]] = MappingProxyType({})


class Ports(NamedTuple):
    """
    The TCP ports, on any address, through which clients reach one rendezvous.

    :ivar plain: the ports without TLS.
    :ivar tls: the ports with TLS.
    :ivar hosts: the addresses of ports that not every client can reach.
    """

    plain: tuple[int, ...] = ()
    tls: tuple[int, ...] = ()
    hosts: Mapping[int, frozenset[_IP]] = _NOWHERE

    def beside(self, transport: StreamTransport) -> tuple[int, ...]:
        """
        The ports to report to the client on ``transport``: the others of the same kind, on the
        address of ours that the client uses. None if the client has not connected to one of them,
        for example if it came through a proxy.
        """
        ports = self.tls if ISSLTransport.providedBy(transport) else self.plain
        if len(ports) < 2:
            return ()
        try:
            here = transport.getHost()
        except OSError:  # on some systems, after a reset
            return ()
        if not isinstance(here, (IPv4Address, IPv6Address)) or here.port not in ports:
            return ()
        ip = endpoint_address(here.host, here.port).ip
        return tuple(each for each in ports if each != here.port and self._is_reached(each, ip))

    def _is_reached(self, port: int, ip: _IP) -> bool:
        hosts = self.hosts.get(port)
        return hosts is None or any(_listens(host, ip) for host in hosts)


def _listens(host: _IP, ip: _IP) -> bool:
    """Whether a socket that listens on ``host`` also listens on ``ip``."""
    return host == ip or (host.is_unspecified and (host.version == 6 or ip.version == 4))
