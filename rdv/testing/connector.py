"""
Connecting in memory: what becomes of a SYN.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.base import BaseConnector
from twisted.internet.error import ConnectError, DNSLookupError, UserError, getConnectError
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import Address, parse_ip
from rdv.testing.transport import MemoryTransport, twisted_address

if TYPE_CHECKING:
    from rdv.testing.host import Host
    from rdv.testing.network import Network

__all__ = ["MemoryConnector"]


@implementer(IConnector)
class MemoryConnector(BaseConnector):
    """
    See :class:`IConnector`. It tries in the next turn.

    :param host: where it connects from.
    :param source: its address there.
    :param name: of the host to connect to, or its address.
    """

    def __init__(
        self,
        host: Host,
        network: Network,
        source: Address,
        name: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float,
    ) -> None:
        super().__init__(factory, timeout, host)  # type: ignore[arg-type]
        self._host = host
        self._network = network
        self._source = source
        self._name = name
        self._port = port

    def _makeTransport(self) -> Any:  # noqa: N802
        return _Syn(self, self._host.callLater(0, self._arrive))

    def getDestination(self) -> IPv4Address:
        """See :class:`IConnector`."""
        return IPv4Address("TCP", self._name, self._port)

    def _arrive(self) -> None:
        try:
            ip = parse_ip(self._network.addresses.get(self._name, self._name))
        except ValueError:
            self.connectionFailed(Failure(DNSLookupError(self._name)))
            return
        if ip.is_loopback:
            ip = self._host.ip
        destination = Address(ip, self._port)
        try:
            sockets = self._network.connect(self._source, destination)
        except OSError as error:
            number = error.errno or errno.EIO
            refused: ConnectError = getConnectError((number, os.strerror(number)))
            self.connectionFailed(Failure(refused))
            return
        if sockets is None:  # nobody answers, and a timer ends it
            return
        near, port, far = sockets
        protocol = self.buildProtocol(twisted_address(destination))
        if protocol is None:
            near.close()
        else:
            transport = MemoryTransport(near, protocol, self._host, self.connectionLost)
            self.transport = cast(Any, transport)
            transport.begin()
        port.accept(far)


class _Syn:
    """What a connector has until there is a connection."""

    def __init__(self, connector: MemoryConnector, arrival: IDelayedCall) -> None:
        self._connector = connector
        self._arrival = arrival

    def failIfNotConnected(self, error: Exception) -> None:  # noqa: N802
        """It is given up, or takes too long."""
        if self._arrival.active():
            self._arrival.cancel()
        self._connector.connectionFailed(Failure(error))

    def loseConnection(self) -> None:
        """It is given up."""
        self.failIfNotConnected(UserError())
