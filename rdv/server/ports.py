"""
The ports of a server that its clients are told of.

A client that asks from one local port at two ports of the server learns whether its NAT maps that
port alike for both, which is what ``rdv check`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort, ISSLTransport

from rdv.addresses import AddressSpace, parse_ip, space_of
from rdv.handover import StreamTransport

__all__ = ["Ports", "ports_of"]


class Ports(NamedTuple):
    """
    At which TCP ports, of whatever address they use, clients reach one rendezvous.

    :ivar plain: without TLS.
    :ivar tls: with it.
    """

    plain: tuple[int, ...] = ()
    tls: tuple[int, ...] = ()

    def beside(self, transport: StreamTransport) -> tuple[int, ...]:
        """
        What the client on ``transport`` is told: the others of the same kind. None at all if it has
        come through none of them, by way of a proxy, say.
        """
        ports = self.tls if ISSLTransport.providedBy(transport) else self.plain
        if len(ports) < 2:
            return ()
        its_own = getattr(transport.getHost(), "port", None)
        return tuple(port for port in ports if port != its_own) if its_own in ports else ()


def ports_of(listening: Iterable[tuple[str, IListeningPort]]) -> Ports:
    """
    Those of a server of its own.

    :param listening: each port with the endpoint string that it was made from. The types ``tcp``
        and ``ssl`` are understood; a port on loopback is nobody else's.
    """
    found: dict[str, dict[int, None]] = {"tcp": {}, "ssl": {}}
    for description, port in listening:
        host = port.getHost()
        kind = description.partition(":")[0]
        if kind not in found or not isinstance(host, (IPv4Address, IPv6Address)):
            continue
        if space_of(parse_ip(host.host)) is not AddressSpace.LOOPBACK:
            found[kind][host.port] = None
    return Ports(tuple(found["tcp"]), tuple(found["ssl"]))
