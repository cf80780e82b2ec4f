"""
Listening sockets that several processes accept from: opened by one, adopted by the others.

Endpoints listen by calling ``listenTCP`` or ``listenSSL`` of a reactor. :class:`OpenedPorts` and
:class:`AdoptedPorts` stand in for it there, so that both sides understand the same endpoint
strings, as the reactor itself would.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorSocket

from rdv._transport.quiet import listen_quietly
from rdv.errors import RdvError

__all__ = ["AdoptedPorts", "OpenedPorts"]


class _NotShared(RdvError, AttributeError):
    """Another way to listen, and so an attribute that is not there."""


class _Ports:
    """A reactor, but for listening."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("listen", "adopt")):
            raise _NotShared("several workers can share nothing but TCP ports, plain or TLS")
        return getattr(self._reactor, name)


class OpenedPorts(_Ports):
    """
    Opens ports from which this process does not accept.

    :ivar ports: those that are open.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.ports: list[Any] = []

    def listenTCP(self, *arguments: Any, **options: Any) -> IListeningPort:
        """See :class:`IReactorTCP`."""
        return self._keep(self._reactor.listenTCP(*arguments, **options))

    def listenSSL(self, *arguments: Any, **options: Any) -> IListeningPort:
        """See :class:`IReactorSSL`."""
        return self._keep(self._reactor.listenSSL(*arguments, **options))

    def _keep(self, port: Any) -> IListeningPort:
        port.stopReading()
        self.ports.append(port)
        listening: IListeningPort = port
        return listening


class AdoptedPorts(_Ports):
    """
    Listens on ports that another process has opened, in the same order.

    :param descriptors: of the listening sockets; each is closed when it is adopted, which does not
        close the socket.
    """

    def __init__(self, reactor: IReactorSocket, descriptors: Sequence[int]) -> None:
        super().__init__(reactor)
        self._left = list(descriptors)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See :class:`IReactorTCP`."""
        with socket.socket(fileno=self._left.pop(0)) as sock:
            # The process that opened it has said so.
            adopted: IListeningPort = listen_quietly(
                self._reactor.adoptStreamPort, sock.fileno(), sock.family, factory
            )
        return adopted

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """See :class:`IReactorSSL`."""
        from twisted.protocols.tls import TLSMemoryBIOFactory

        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory))
