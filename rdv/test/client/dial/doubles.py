"""
A reactor with real sockets and a clock that only the test advances; which sockets exist; and hosts
with unusual IP stacks.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
)
from twisted.internet.task import Clock
from twisted.internet.tcp import Port, makeBinding
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.client.dial.shared_port import IClientReactor
from rdv.test.sockets import sockets_at


@implementer(IClientReactor)
class SteppedReactor:
    """
    A reactor with real sockets, and a clock that stands still until the test moves it.

    :ivar clock: the clock.
    :ivar ports: the numbers of all ports that were listened on.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._awaited: list[tuple[float, Deferred[None]]] = []
        self._soon: list[IDelayedCall] = []
        self._ends: dict[int, Deferred[None]] = {}
        self.clock = Clock()
        self.ports: list[int] = []
        self.nameResolver = reactor.nameResolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        listening: IListeningPort = self._reactor.listenTCP(port, factory, backlog, interface)
        self.ports.append(cast(IPv4Address, listening.getHost()).port)
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        connector = self._reactor.connectTCP(host, port, factory, timeout, bindAddress)
        self._watch(connector.transport, port)
        return cast(IConnector, connector)

    def adoptStreamConnection(self, fileDescriptor: int, family: Any, factory: Any) -> int:
        with socket.socket(fileno=os.dup(fileDescriptor)) as sock:
            port = sock.getpeername()[1]
        protocol = factory.buildProtocol(None)
        factory.buildProtocol = lambda addr: protocol
        number: int = self._reactor.adoptStreamConnection(fileDescriptor, family, factory)
        self._watch(protocol.transport, port)
        return number

    def addWriter(self, writer: Any) -> None:
        self._reactor.addWriter(writer)

    def removeWriter(self, writer: Any) -> None:
        self._reactor.removeWriter(writer)

    def _watch(self, transport: Any, port: int) -> None:
        tell, gone = transport.connectionLost, self._ends.setdefault(port, Deferred())

        def lost(reason: Failure) -> None:
            tell(reason)
            if not gone.called:
                gone.callback(None)

        transport.connectionLost = lost

    def gone(self, port: int) -> Deferred[None]:
        """Fires when the connection that was dialled to ``port`` is gone."""
        return self._ends[port]

    def seconds(self) -> float:
        return self.clock.seconds()

    def callLater(  # type: ignore[override]
        self, delay: float, function: Any, *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        if delay == 0:  # 0 means the next turn, even if time stands still
            soon: IDelayedCall = self._reactor.callLater(0, function, *args, **kwargs)
            self._soon.append(soon)
            return soon
        call = self.clock.callLater(delay, function, *args, **kwargs)
        for awaited in list(self._awaited):
            if awaited[0] == delay:
                self._awaited.remove(awaited)
                # Not from here: the caller has yet to store the call.
                self._reactor.callLater(0, awaited[1].callback, None)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return [*self.clock.getDelayedCalls(), *(call for call in self._soon if call.active())]

    def scheduled(self, delay: float) -> Deferred[None]:
        """Fires when somebody next asks for a call after ``delay`` seconds."""
        awaited: Deferred[None] = Deferred()
        self._awaited.append((delay, awaited))
        return awaited

    def left_over(self) -> list[str]:
        """What the client has not cleaned up: delayed calls, and sockets bound to its ports."""
        return [*map(str, self.getDelayedCalls()), *sockets_at(self.ports)]


class WithoutIPv6(SteppedReactor):
    """A host without IPv6."""

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if ":" in interface:
            error = OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            raise CannotListenError(interface, port, error)
        return super().listenTCP(port, factory, backlog, interface)


class V6OnlyPort(Port):
    """Listens as on a host whose IPv6 sockets do not accept IPv4."""

    def createInternetSocket(self) -> socket.socket:  # noqa: N802
        sock: socket.socket = super().createInternetSocket()
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return sock


class SeparateStacks(SteppedReactor):
    """A host where ``::`` does not include IPv4."""

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if ":" not in interface:
            return super().listenTCP(port, factory, backlog, interface)
        listening = V6OnlyPort(port, factory, backlog, interface, self._reactor)
        listening.startListening()
        self.ports.append(listening.getHost().port)
        return cast(IListeningPort, listening)


class Unlucky(SeparateStacks):
    """
    Such a host, where the first port that the system chooses for IPv6 is taken for IPv4.

    :ivar taken: the number of that port.
    """

    taken = 0

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if self.taken and not self.ports:
            port = makeBinding(interface, self.taken, reuseAddress=True, reusePort=True)
        return super().listenTCP(port, factory, backlog, interface)
