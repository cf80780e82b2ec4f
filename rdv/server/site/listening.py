"""
What a server listens on: endpoints from what an operator writes, and ports that several processes
accept from, opened by one and adopted by the others.

Endpoints listen by calling ``listenTCP`` or ``listenSSL`` of a reactor. :class:`OpenedPorts` and
:class:`AdoptedPorts` stand in for it there, so that both sides understand the same endpoint
strings, as the reactor itself would.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorSocket,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure

from rdv._transport.quiet import listen_quietly
from rdv.errors import BadEndpoint, RdvError

__all__ = [
    "AdoptedPorts",
    "Endpoints",
    "OpenedPorts",
    "close_ports",
    "endpoint_strings",
    "listen",
    "make_endpoints",
]

# A name without a dot is the type of an endpoint: tcp:8080.
_HOST_AND_PORT = re.compile(
    r"(?:(?P<host>\*|\[[^]]+\]|localhost|[^:\[\]]+\.[^:\[\]]*|):)?(?P<port>\d{1,5})"
)
#: Connections that may wait to be accepted. With Twisted's 50 a burst of clients loses SYNs, and a
#: second for each.
_BACKLOG = 4096

#: What to listen on, as the operator has it, and as Twisted has it.
Endpoints: TypeAlias = Sequence[tuple[str, IStreamServerEndpoint]]


def endpoint_strings(text: str) -> list[str]:
    """
    Endpoint strings for a port number, ``HOST:PORT``, ``*:PORT`` or ``:PORT``; any other text is
    one already.

    Without a host, or with ``*``, they listen on IPv6 and IPv4, as far as this host has them.

    :raises BadEndpoint: for a port above 65535.
    """
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        return [text]
    host, port = match["host"], int(match["port"])
    if port > 0xFFFF:
        raise BadEndpoint(f"not a port: {port}")
    if host not in (None, "", "*"):
        escaped = host.strip("[]").replace(":", r"\:")
        return [f"tcp:{port}:backlog={_BACKLOG}:interface={escaped}"]
    try:
        with socket.socket(socket.AF_INET6) as probe:
            v6_only = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return [f"tcp:{port}:backlog={_BACKLOG}"]
    dual = rf"tcp:{port}:backlog={_BACKLOG}:interface=\:\:"
    return [dual, f"tcp:{port}:backlog={_BACKLOG}"] if v6_only else [dual]


def make_endpoints(reactor: object, texts: Iterable[str]) -> Endpoints:
    """
    What to listen on.

    :param reactor: whose ``listenTCP`` and ``listenSSL`` will be called.
    :param texts: each a port number, ``HOST:PORT``, or a server endpoint string of Twisted.
    :raises BadEndpoint: when an endpoint string cannot be understood.
    """
    endpoints = []
    for text in texts:
        for description in endpoint_strings(text):
            try:
                endpoints.append((text, serverFromString(reactor, description)))
            except Exception as error:  # each parser of endpoint strings has its own
                raise BadEndpoint(f"cannot listen on {description!r}: {error}") from error
    return endpoints


def listen(endpoints: Endpoints, factory: IProtocolFactory) -> list[IListeningPort]:
    """
    Listen on all of them.

    :raises RdvError: when one cannot be had; :class:`BadEndpoint` when nobody could.
    """
    ports: list[IListeningPort] = []
    for text, endpoint in endpoints:
        failures: list[Failure] = []
        maybeDeferred(endpoint.listen, factory).addCallbacks(ports.append, failures.append)
        for failure in failures:
            close_ports(ports)
            reason = getattr(failure.value, "socketError", failure.value)
            reason = getattr(reason, "strerror", None) or reason
            # No port of such a number can be bound to.
            kind = BadEndpoint if failure.check(OverflowError) else RdvError
            raise kind(f"cannot listen on {text}: {reason}")
    return ports


def close_ports(ports: Sequence[IListeningPort]) -> Deferred[Any]:
    """Listen no longer."""
    return gatherResults([maybeDeferred(port.stopListening) for port in ports])


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
        return self._keep(self._reactor.listenTCP(*arguments, **options))

    def listenSSL(self, *arguments: Any, **options: Any) -> IListeningPort:
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
        from twisted.protocols.tls import TLSMemoryBIOFactory

        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory))
