"""
One host of a network in memory: a reactor, its listening ports, and how it connects.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address as IPv4
from itertools import cycle, islice
from typing import Any, cast
from weakref import WeakSet

from twisted.internet.address import IPv4Address
from twisted.internet.base import BaseConnector
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
)
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import Address
from rdv.client.dial.shared_port import IClientReactor
from rdv.testing.transport import MemorySocket, MemoryTransport, Selector, twisted_address

__all__ = ["Host", "MemoryPort", "Syn"]

#: Sends a SYN from an address to a port of a host, which is given by name or address. Returns both
#: ends of a connection, with the port that accepts the other end between them; None if there is no
#: response. Raises Twisted's errors.
Syn = Callable[[Address, str, int], "tuple[MemorySocket, MemoryPort, MemorySocket] | None"]

#: The ports for code that asks for any: IANA's dynamic range.
_EPHEMERAL = range(49152, 65536)
#: Seconds until an unanswered SYN is repeated, as in Linux; doubled each time.
_FIRST_PAUSE = 1.0


@implementer(IClientReactor)
class Host(Selector):
    """
    A reactor with its own address, for any code that takes a reactor: it listens, connects,
    resolves names and makes delayed calls, all in memory. It does not run by itself; its network
    drives it.

    :ivar ip: its address.
    :ivar ports: its listening ports, by number.
    :ivar send_syn: makes its connections.
    """

    def __init__(self, ip: IPv4, clock: Clock, resolver: IHostnameResolver, send_syn: Syn) -> None:
        super().__init__()
        self.ip = ip
        self.nameResolver = resolver
        self.ports: dict[int, MemoryPort] = {}
        self.send_syn = send_syn
        self._clock = clock
        self._ephemeral = cycle(_EPHEMERAL)
        self._calls: WeakSet[Any] = WeakSet()

    def own_addresses(self, port: int) -> list[Address]:
        """The addresses that a :class:`~rdv.client.Client` on this host reports to its peer."""
        return [Address(self.ip, port)]

    # IReactorTime.

    def seconds(self) -> float:
        return self._clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        call = self._clock.callLater(delay, callable, *args, **kwargs)
        self._calls.add(call)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """See :class:`IReactorTime`: the calls of this host."""
        return [call for call in self._clock.getDelayedCalls() if call in self._calls]

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
        source = Address(self.ip, _number(bindAddress) or self._free_port())
        connector = MemoryConnector(self, source, host, port, factory, timeout)
        connector.connect()
        return connector

    def _free_port(self) -> int:
        taken = self.ports.keys() | {sock.name.port for sock in self.sockets}
        return next(port for port in islice(self._ephemeral, len(_EPHEMERAL)) if port not in taken)

    # IReactorPluggableNameResolver.

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        before, self.nameResolver = self.nameResolver, resolver
        return before

    @property
    def sockets(self) -> list[MemorySocket]:
        """The sockets of its connections."""
        return [transport.memory for transport in self._transports]


@implementer(IListeningPort)
class MemoryPort:
    """A listening port."""

    def __init__(self, host: Host, number: int, factory: ServerFactory[Any]) -> None:
        self._host = host
        self._number = number
        self.factory = factory

    def startListening(self) -> None:
        self._host.ports[self._number] = self
        self.factory.doStart()

    def stopListening(self) -> None:
        if self._host.ports.get(self._number) is self:
            del self._host.ports[self._number]
            self.factory.doStop()

    def getHost(self) -> IPv4Address:
        return twisted_address(Address(self._host.ip, self._number))

    def accept(self, sock: MemorySocket) -> None:
        """A connection has arrived."""
        protocol = self.factory.buildProtocol(twisted_address(sock.peer_name))
        if protocol is None:
            sock.close()
            return
        transport = MemoryTransport(sock, protocol, self._host)
        transport.begin()


@implementer(IConnector)
class MemoryConnector(BaseConnector):
    """
    See :class:`IConnector`. It connects in the next turn; until then it is its own transport.

    :param host: the host from which it connects.
    :param source: its address there.
    :param name: the name of the host to connect to, or its address.
    """

    def __init__(
        self,
        host: Host,
        source: Address,
        name: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float,
    ) -> None:
        super().__init__(factory, timeout, host)  # type: ignore[arg-type]
        self._host = host
        self._source = source
        self._name = name
        self._port = port
        self._pause = _FIRST_PAUSE

    def _makeTransport(self) -> Any:  # noqa: N802
        self._arrival = self._host.callLater(0, self._arrive)
        return self

    def getDestination(self) -> IPv4Address:
        return IPv4Address("TCP", self._name, self._port)

    def failIfNotConnected(self, error: Exception) -> None:  # noqa: N802
        """The attempt is given up, or takes too long."""
        if self._arrival.active():
            self._arrival.cancel()
        self.connectionFailed(Failure(error))

    def _arrive(self) -> None:
        try:
            sockets = self._host.send_syn(self._source, self._name, self._port)
        except (ConnectError, DNSLookupError) as error:
            self.connectionFailed(Failure(error))
            return
        if sockets is None:  # there is no answer, and a timer ends it
            self._arrival = self._host.callLater(self._pause, self._arrive)
            self._pause *= 2
            return
        near, port, far = sockets
        protocol = self.buildProtocol(twisted_address(near.peer_name))
        if protocol is None:
            near.close()
        else:
            transport = MemoryTransport(near, protocol, self._host, self.connectionLost)
            self.transport = cast(Any, transport)
            transport.begin()
        port.accept(far)


def _number(binding: Any) -> int:
    """
    The number in what Twisted's reactors accept as a port: a number, a pair, or a ``Binding``.
    """
    if binding is None or isinstance(binding, int):
        return binding or 0
    # A Binding has no public attribute for it; for a pair, this is ``binding[1]``.
    number: int = binding[1] if isinstance(binding, tuple) else binding._port
    return number
