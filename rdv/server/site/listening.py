"""
Makes the endpoints of a server from the operator's settings.

Endpoints listen by calling ``listenTCP`` and the like of a reactor.
:class:`rdv.server.generations.listeners.Listeners` stands in for it there.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._text import visible
from rdv.errors import BadEndpoint, RdvError
from rdv.server.site.proxy_header import PREFIX, proxy_endpoint
from rdv.settings import ServerSettings

__all__ = [
    "Endpoints",
    "TLSEndpoint",
    "close_ports",
    "endpoint_kinds",
    "endpoint_strings",
    "listen",
    "make_endpoints",
    "resolved",
    "server_endpoints",
]

# A name without a dot is an endpoint type, as in tcp:8080.
_HOST_AND_PORT = re.compile(
    r"(?:(?P<host>\*|\[[^]]+\]|localhost|[^:\[\]]+\.[^:\[\]]*|):)?(?P<port>\d{1,5})"
)
#: Connections that may wait to be accepted. With Twisted's default of 50, a burst of clients loses
#: SYNs, and each of these clients loses a second.
_BACKLOG = 4096

#: What to listen on: the operator's text, and the endpoint made from it.
Endpoints: TypeAlias = Sequence[tuple[str, IStreamServerEndpoint]]


def endpoint_strings(text: str) -> list[str]:
    """
    Endpoint strings for a port number, ``HOST:PORT``, ``*:PORT`` or ``:PORT``; any other text is an
    endpoint string already.

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


def make_endpoints(
    reactor: object,
    texts: Iterable[str],
    tls: IOpenSSLServerConnectionCreator | None = None,
) -> Endpoints:
    """
    The endpoints for ``texts``.

    :param reactor: its ``listenTCP`` and similar methods will be called.
    :param texts: each a port number, ``HOST:PORT``, or a Twisted server endpoint string.
    :param tls: if given, the endpoints use TLS.
    :raises BadEndpoint: when an endpoint string cannot be understood, or is TLS already.
    """
    endpoints: list[tuple[str, IStreamServerEndpoint]] = []
    for text in texts:
        for description in endpoint_strings(text):
            try:
                if tls is not None and description.startswith("ssl:"):
                    raise ValueError("it uses TLS anyway")
                make = proxy_endpoint if description.startswith(PREFIX) else serverFromString
                endpoint = make(reactor, description)
            except Exception as error:  # each parser raises its own errors
                reason = visible(str(error))
                if isinstance(error, LookupError) and "systemd:" in description:
                    reason = "systemd passed no such socket"
                raise BadEndpoint(f"cannot listen on {description!r}: {reason}") from error
            endpoints.append((text, endpoint if tls is None else TLSEndpoint(endpoint, tls)))
    return endpoints


def server_endpoints(
    reactor: object, settings: ServerSettings, tls: IOpenSSLServerConnectionCreator | None
) -> Endpoints:
    """
    All endpoints in ``settings``, in the order of :func:`endpoint_kinds`.

    :raises BadEndpoint: as by :func:`make_endpoints`.
    """
    plain = make_endpoints(reactor, settings.listen)
    return [*plain, *(make_endpoints(reactor, settings.tls, tls) if tls else ())]


def endpoint_kinds(settings: ServerSettings) -> list[str]:
    """The type of each endpoint in ``settings``: ``tcp``, ``ssl``, or another."""
    plain, tls = (
        [each.partition(":")[0] for text in texts for each in endpoint_strings(text)]
        for texts in (settings.listen, settings.tls)
    )
    return [*plain, *("ssl" if kind == "tcp" else f"tls:{kind}" for kind in tls)]


def resolved(settings: ServerSettings) -> ServerSettings:
    """The same settings with endpoint strings, so that IPv6 support is looked up once."""
    listen, tls = (
        tuple(each for text in texts for each in endpoint_strings(text))
        for texts in (settings.listen, settings.tls)
    )
    return replace(settings, listen=listen, tls=tls)


@implementer(IStreamServerEndpoint)
class TLSEndpoint:
    """
    TLS on top of another endpoint.

    :param tls: makes the OpenSSL connections.
    """

    def __init__(
        self, endpoint: IStreamServerEndpoint, tls: IOpenSSLServerConnectionCreator
    ) -> None:
        self._endpoint = endpoint
        self._tls = tls

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        listening: Deferred[IListeningPort] = self._endpoint.listen(
            TLSMemoryBIOFactory(self._tls, False, factory)
        )
        return listening


def listen(endpoints: Endpoints, factory: IProtocolFactory) -> list[IListeningPort]:
    """
    Listen on all endpoints.

    :raises RdvError: when one cannot listen; :class:`BadEndpoint` when it never can.
    """
    ports: list[IListeningPort] = []
    for text, endpoint in endpoints:
        failures: list[Failure] = []
        maybeDeferred(endpoint.listen, factory).addCallbacks(ports.append, failures.append)
        for failure in failures:
            close_ports(ports)
            reason = getattr(failure.value, "socketError", failure.value)
            reason = getattr(reason, "strerror", None) or reason
            # The port number is out of range.
            kind = BadEndpoint if failure.check(OverflowError) else RdvError
            raise kind(f"cannot listen on {text}: {reason}") from failure.value
    return ports


def close_ports(ports: Sequence[IListeningPort]) -> Deferred[Any]:
    """Stop listening."""
    return gatherResults([maybeDeferred(port.stopListening) for port in ports])
