"""
A server as a ``twisted.application`` service: its ports, its site, and a shutdown that lets
transfers end.
"""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    IReactorFromThreads,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from rdv._system.process import spare_signals, take_signals
from rdv.errors import BadEndpoint, RdvError
from rdv.server.observed import observed_by
from rdv.server.ports import Ports, ports_of
from rdv.server.rendezvous import Rendezvous
from rdv.server.resource import MeetingPlace, RendezvousResource
from rdv.server.site.site import RendezvousSite

__all__ = [
    "Endpoints",
    "RendezvousService",
    "ServerSettings",
    "close_ports",
    "endpoint_strings",
    "listen",
    "make_endpoints",
    "make_rendezvous",
    "make_site",
    "named_ports",
]

log = Logger()

# A name without a dot is the type of an endpoint: tcp:8080.
_HOST_AND_PORT = re.compile(
    r"(?:(?P<host>\[[^]]+\]|localhost|[^:\[\]]+\.[^:\[\]]*|):)?(?P<port>\d{1,5})"
)


#: Connections that may wait to be accepted. With Twisted's 50 a burst of clients loses SYNs, and a
#: second for each.
_BACKLOG = 4096


@dataclass(frozen=True)
class ServerSettings:
    """
    What an operator can set: text and numbers only, which can be handed to another process.

    :ivar listen: where to listen: each a port number, ``HOST:PORT``, or a server endpoint string of
        Twisted.
    :ivar path: the one path that is served; ``/`` for any.
    :ivar lobby_timeout: see :class:`rdv.server.Rendezvous`, as for the next two.
    :ivar align: see there too.
    :ivar drain: seconds that running transfers get when the server is told to stop.
    :ivar observed_header: see :func:`rdv.server.observed.observed_by`, as for the next one.
    :ivar observed_port_header: see there.
    """

    listen: Sequence[str] = ("8080",)
    path: str = "/"
    lobby_timeout: float = 300.0
    handshake_timeout: float = 30.0
    idle_timeout: float = 3600.0
    align: bool = True
    drain: float = 5.0
    observed_header: str | None = None
    observed_port_header: str | None = None


#: What to listen on, as the operator has it, and as Twisted has it.
Endpoints: TypeAlias = Sequence[tuple[str, IStreamServerEndpoint]]


class _IReactor(IReactorCore, IReactorTime, IReactorFromThreads):
    """What the service asks of a reactor."""


class RendezvousService(Service):
    """
    The server of ``twist rdv`` and ``rdv serve``.

    Stopping it refuses new requests and those who wait with 503, lets running transfers go on for
    ``settings.drain`` seconds, and only then closes the ports.

    :param handle_signals: make SIGINT and SIGTERM stop the reactor after that, and a second one at
        once, with exit status 0 either way; and SIGHUP, SIGUSR1 and SIGUSR2 do nothing.
    :ivar ports: the listening ports, once it runs.
    :ivar ready: fires when clients can be served and signals be handled.
    :raises BadEndpoint: when an endpoint string cannot be understood.
    """

    def __init__(
        self, reactor: _IReactor, settings: ServerSettings, *, handle_signals: bool = False
    ) -> None:
        self._reactor = reactor
        self._drain = settings.drain
        self._handle_signals = handle_signals
        self._stopping = False
        self.ports: list[IListeningPort] = []
        self.ready: Deferred[None] = Deferred()
        self._settings = settings
        self.rendezvous = make_rendezvous(reactor, settings)
        self._site = make_site(reactor, settings, self.rendezvous)
        self._endpoints = make_endpoints(reactor, settings)

    def privilegedStartService(self) -> None:
        """
        Listen on all ports.

        :raises RdvError: when one cannot be had; :class:`BadEndpoint` when nobody could.
        """
        if self._handle_signals:
            spare_signals()
        self.ports = listen(self._endpoints, self._site)
        self._site.serves(self.ports)
        self.rendezvous.ports = named_ports(self._settings, self.ports)

    def startService(self) -> None:
        """See :class:`IService`. ``twist`` calls nothing else."""
        if not self.ports:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._reactor.callWhenRunning(self._run)

    def stopService(self) -> Deferred[Any]:
        """
        See :class:`IService`: fires when the transfers have ended or were cut, and the ports are
        closed.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        ports, self.ports = self.ports, []
        return self.rendezvous.close(self._drain).addCallback(lambda _: close_ports(ports))

    def _run(self) -> None:
        if self._handle_signals:
            take_signals(partial(self._reactor.callFromThread, self._signalled))
        if not self.ready.called:
            self.ready.callback(None)

    def _signalled(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._stopping:
            log.info("{name} again: cutting what is left", name=name)
            self.rendezvous.abort()
            return
        self._stopping = True
        log.info(
            "{name}: {pairs} pairs may end within {drain} s",
            name=name,
            pairs=self.rendezvous.pairs,
            drain=self._drain,
        )
        self.rendezvous.close(self._drain).addCallback(lambda _: self._reactor.stop())


def make_rendezvous(reactor: IReactorTime, settings: ServerSettings) -> Rendezvous:
    """Where clients meet, as ``settings`` want it."""
    return Rendezvous(
        reactor,
        lobby_timeout=settings.lobby_timeout,
        handshake_timeout=settings.handshake_timeout,
        idle_timeout=settings.idle_timeout,
        align=settings.align,
    )


def make_site(
    reactor: IReactorTime, settings: ServerSettings, meeting: MeetingPlace
) -> RendezvousSite:
    """The site that takes clients to ``meeting``; it has to be told of its ports."""
    observed = observed_by(settings.observed_header, settings.observed_port_header)
    root = _at_path(RendezvousResource(meeting, observed), settings.path)
    return RendezvousSite(root, reactor)


def make_endpoints(reactor: object, settings: ServerSettings) -> Endpoints:
    """
    What to listen on.

    :param reactor: whose ``listenTCP`` and ``listenSSL`` will be called.
    :raises BadEndpoint: when an endpoint string cannot be understood.
    """
    return [
        (text, _endpoint(reactor, description))
        for text in settings.listen
        for description in endpoint_strings(text)
    ]


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


def named_ports(settings: ServerSettings, ports: Sequence[IListeningPort]) -> Ports:
    """
    Which of its ports a server names to its clients; none behind a proxy, which they cannot reach.

    :param ports: what :func:`listen` returned for these settings.
    """
    if settings.observed_header is not None:
        return Ports()
    descriptions = [each for text in settings.listen for each in endpoint_strings(text)]
    return ports_of(zip(descriptions, ports, strict=True))


def close_ports(ports: Sequence[IListeningPort]) -> Deferred[Any]:
    """Listen no longer."""
    return gatherResults([maybeDeferred(port.stopListening) for port in ports])


def _endpoint(reactor: object, description: str) -> IStreamServerEndpoint:
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # each parser of endpoint strings has its own
        raise BadEndpoint(f"cannot listen on {description!r}: {error}") from error
    return endpoint


def _at_path(resource: Resource, path: str) -> Resource:
    """A root that serves ``resource`` at ``path`` only, or everywhere for ``/``."""
    segments = [segment.encode() for segment in path.split("/") if segment]
    for segment in reversed(segments):
        parent = Resource()
        parent.putChild(segment, resource)
        resource = parent
    return resource


def endpoint_strings(text: str) -> list[str]:
    """
    Endpoint strings for a port number, ``HOST:PORT`` or ``:PORT``; any other text is one already.

    Without a host they listen on IPv6 and IPv4, as far as this host has them.

    :raises BadEndpoint: for a port above 65535.
    """
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        return [text]
    host, port = match["host"], int(match["port"])
    if port > 0xFFFF:
        raise BadEndpoint(f"not a port: {port}")
    if host:
        escaped = host.strip("[]").replace(":", r"\:")
        return [f"tcp:{port}:backlog={_BACKLOG}:interface={escaped}"]
    try:
        with socket.socket(socket.AF_INET6) as probe:
            v6_only = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return [f"tcp:{port}:backlog={_BACKLOG}"]
    dual = rf"tcp:{port}:backlog={_BACKLOG}:interface=\:\:"
    return [dual, f"tcp:{port}:backlog={_BACKLOG}"] if v6_only else [dual]
