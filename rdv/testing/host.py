"""
One host of a network in memory: a reactor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address as IPv4
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
)
from twisted.internet.protocol import ClientFactory, ServerFactory
from zope.interface import implementer

from rdv.addresses import Address
from rdv.client.dial.shared_port import IClientReactor
from rdv.testing.connector import MemoryConnector
from rdv.testing.sockets import MemorySocket
from rdv.testing.transport import MemoryTransport, twisted_address

if TYPE_CHECKING:
    from rdv.testing.network import Network

__all__ = ["Host"]

#: The ports that are given to those who ask for none: as IANA has it.
_EPHEMERAL = range(49152, 65536)


@implementer(IClientReactor)
class Host:
    """
    A reactor with an address of its own, for whatever takes one: it listens, connects, resolves
    names and calls later, all of it in memory. It does not run; its network moves it.

    :ivar ip: its address.
    :ivar ports: those that listen, by number.
    """

    def __init__(self, network: Network, ip: IPv4) -> None:
        self._network = network
        self.ip = ip
        self.nameResolver: IHostnameResolver = network.names
        self.ports: dict[int, MemoryPort] = {}
        self._ephemeral = cycle(_EPHEMERAL)
        self._calls: WeakSet[Any] = WeakSet()
        self._transports: dict[MemoryTransport, None] = {}
        self._reading: set[object] = set()
        self._writing: set[object] = set()

    def own_addresses(self, port: int) -> list[Address]:
        """What a :class:`~rdv.client.Client` on this host tells its peer."""
        return [Address(self.ip, port)]

    # IReactorTime.

    def seconds(self) -> float:
        """See :class:`IReactorTime`."""
        return self._network.clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        """See :class:`IReactorTime`."""
        call = self._network.clock.callLater(delay, callable, *args, **kwargs)
        self._calls.add(call)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """See :class:`IReactorTime`: those of this host."""
        return [call for call in self._network.clock.getDelayedCalls() if call in self._calls]

    # IReactorTCP.

    def listenTCP(
        self, port: Any, factory: ServerFactory[Any], backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See :class:`IReactorTCP`. It listens on all addresses."""
        number = _number(port) or self._free_port()
        if number in self.ports:
            taken = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(interface, number, taken)
        listening = MemoryPort(self, number, factory)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float = 30.0,
        bindAddress: Any = None,
    ) -> IConnector:
        """See :class:`IReactorTCP`."""
        source = Address(self.ip, _number(bindAddress) or self._free_port())
        connector = MemoryConnector(self, self._network, source, host, port, factory, timeout)
        connector.connect()
        return connector

    def _free_port(self) -> int:
        taken = self.ports.keys() | {sock.name.port for sock in self.sockets}
        return next(port for port in islice(self._ephemeral, len(_EPHEMERAL)) if port not in taken)

    # IReactorPluggableNameResolver.

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """See :class:`IReactorPluggableNameResolver`."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    # What transports ask of a reactor. IReactorFDSet is not claimed: there are no descriptors.

    def watch(self, transport: MemoryTransport) -> None:
        """It is open."""
        self._transports[transport] = None

    def forget(self, transport: MemoryTransport) -> None:
        """It is gone."""
        self._transports.pop(transport, None)

    def addReader(self, reader: object) -> None:
        """Read when there is something."""
        self._reading.add(reader)

    def removeReader(self, reader: object) -> None:
        """Read no more."""
        self._reading.discard(reader)

    def addWriter(self, writer: object) -> None:
        """Write when there is room."""
        self._writing.add(writer)

    def removeWriter(self, writer: object) -> None:
        """Write no more."""
        self._writing.discard(writer)

    # What the network asks.

    @property
    def transports(self) -> list[MemoryTransport]:
        """The open connections, the oldest first."""
        return list(self._transports)

    @property
    def sockets(self) -> list[MemorySocket]:
        """Those of its connections."""
        return [transport.memory for transport in self._transports]

    def turn(self) -> bool:
        """Let each connection read and write once. Whether one did."""
        moved = False
        for transport in self.transports:
            if transport in self._writing:
                moved |= transport.write_some()
            if transport in self._reading:
                moved |= transport.read_some()
        return moved


@implementer(IListeningPort)
class MemoryPort:
    """A port that listens."""

    def __init__(self, host: Host, number: int, factory: ServerFactory[Any]) -> None:
        self._host = host
        self._number = number
        self.factory = factory

    def startListening(self) -> None:
        """See :class:`IListeningPort`."""
        self._host.ports[self._number] = self
        self.factory.doStart()

    def stopListening(self) -> None:
        """See :class:`IListeningPort`."""
        if self._host.ports.get(self._number) is self:
            del self._host.ports[self._number]
            self.factory.doStop()

    def getHost(self) -> IPv4Address:
        """See :class:`IListeningPort`."""
        return twisted_address(Address(self._host.ip, self._number))

    def accept(self, sock: MemorySocket) -> None:
        """There is a connection."""
        protocol = self.factory.buildProtocol(twisted_address(sock.peer_name))
        if protocol is None:
            sock.close()
            return
        transport = MemoryTransport(sock, protocol, self._host)
        transport.begin()


def _number(binding: Any) -> int:
    """The port in what Twisted's reactors take for one: a number, a pair, or a ``Binding``."""
    if binding is None or isinstance(binding, int):
        return binding or 0
    # A Binding has no public way to tell; for a pair this is ``binding[1]``.
    number: int = binding[1] if isinstance(binding, tuple) else binding._port
    return number
