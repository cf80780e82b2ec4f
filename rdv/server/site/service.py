"""
A server as a ``twisted.application`` service: its ports, its site, and a shutdown that lets
transfers end.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorCore,
    IReactorFromThreads,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.web.resource import Resource

from rdv.addresses import AddressSpace, parse_ip, space_of
from rdv.errors import BadSettings
from rdv.server.access import make_door
from rdv.server.access.hook import load_hook
from rdv.server.door import Door
from rdv.server.limits.admission import Admission
from rdv.server.limits.memory import Memory
from rdv.server.limits.numbers import NO_LIMITS, Limits
from rdv.server.logs.first_clients import FirstClients
from rdv.server.logs.summary import Summary
from rdv.server.observed import ObservedAddress, forwarded_address, peer_address
from rdv.server.ports import Ports
from rdv.server.relay_limits import RelayLimits
from rdv.server.reloading import Reload, reload_all
from rdv.server.rendezvous import Rendezvous
from rdv.server.resource import IRendezvous, RendezvousResource
from rdv.server.sampling import sample_of
from rdv.server.site.admin.making import make_admin
from rdv.server.site.certificate import make_certificate
from rdv.server.site.certificate_watch import CertificateWatch
from rdv.server.site.health import HealthChecks
from rdv.server.site.listeners import Listeners
from rdv.server.site.listening import endpoint_kinds, listen, server_endpoints
from rdv.server.site.signals import ServerSignals
from rdv.server.site.site import RendezvousSite
from rdv.server.site.slim import ShortWay
from rdv.server.supervision import Condition
from rdv.settings import ServerSettings

__all__ = [
    "RendezvousService",
    "make_rendezvous",
    "make_site",
    "named_ports",
]

log = Logger()


class _IReactor(IReactorCore, IReactorTime, IReactorFromThreads):
    """What the service asks of a reactor."""


class RendezvousService(Service):
    """
    The server of ``twist rdv`` and ``rdv serve``.

    Stopping it closes the ports, refuses those who wait or have just come with 503, and lets
    running transfers go on for ``settings.drain`` seconds.

    :param handle_signals: make SIGINT and SIGTERM stop the reactor after that, and a second one at
        once, with exit status 0 either way; SIGHUP call all of ``reloads``; and SIGUSR1 and SIGUSR2
        do nothing.
    :ivar ports: the listening ports, once it runs.
    :ivar ready: fires when clients can be served and signals be handled.
    :ivar failed: fails when it can serve no longer; see :class:`WorkersService`.
    :ivar reloads: each reads something anew; see :data:`rdv.server.reloading.Reload`.
    :ivar certificate: its certificate, if it listens for TLS.
    :raises BadEndpoint: when an endpoint string cannot be understood.
    :raises RdvError: when a file that it needs cannot be read.
    """

    def __init__(
        self, reactor: _IReactor, settings: ServerSettings, *, handle_signals: bool = False
    ) -> None:
        self._reactor = reactor
        self._signals: ServerSignals | None = None
        if handle_signals:
            self._signals = ServerSignals(reactor, self._signalled, {"SIGHUP": self.reload})
        self._stopping = False
        self._settings = settings
        self.ports: list[IListeningPort] = []
        self.ready: Deferred[None] = Deferred()
        self.failed: Deferred[None] = Deferred()
        self.rendezvous = make_rendezvous(reactor, settings)
        # Now: what starts as root may be somebody else when it runs.
        self.certificate = make_certificate(settings)
        self._watch = CertificateWatch(reactor, self.certificate)
        self._summary = Summary(reactor, self.rendezvous.admission)
        self.reloads: list[Reload] = [self.certificate.reload] if self.certificate else []
        self._site = make_site(
            reactor, settings, self.rendezvous, make_door(reactor, settings, self.reloads)
        )
        self._admin = make_admin(
            reactor, settings, lambda: succeed(sample_of(self.rendezvous)), self.certificate
        )
        self._listeners = Listeners(reactor)
        self._endpoints = server_endpoints(self._listeners, settings, self.certificate)

    def privilegedStartService(self) -> None:
        """
        Listen on all ports.

        :raises RdvError: when one cannot be had; :class:`BadEndpoint` when nobody could.
        """
        if self._signals is not None:
            self._signals.take_others()
        self.ports = listen(self._endpoints, self._site)
        self._site.serves(self.ports)
        self.rendezvous.ports = named_ports(self._settings, self.ports)
        if self._admin is not None:
            self._admin.start()

    def startService(self) -> None:
        """See :class:`IService`. ``twist`` calls nothing else."""
        if not self.ports:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._watch.start()
        self._summary.start()
        self._reactor.callWhenRunning(self._run)

    def stopService(self) -> Deferred[Any]:
        """
        See :class:`IService`: fires when the transfers have ended or were cut.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        closed = self._close()
        return closed.addCallback(lambda _: self._admin and self._admin.stop())

    def _close(self) -> Deferred[Any]:
        self._watch.stop()
        self._summary.stop()
        ports, self.ports = self.ports, []
        own = [port for port in ports if not self._listeners.is_passed(port)]
        # Refused, they go elsewhere.
        closed = self.rendezvous.close(self._settings.drain)
        return gatherResults([closed, self._site.leave(own), self._listeners.close()])

    def reload(self) -> None:
        """Have all of ``reloads`` read anew. One that cannot keeps what it has, and says so."""
        reload_all(self.reloads)

    def condition(self) -> Condition:
        """See :class:`rdv.server.supervision.Supervised`."""
        text = f"{self.rendezvous.waiting} waiting, {self.rendezvous.pairs} pairs"
        return Condition(text, True, self._stopping)

    def _run(self) -> None:
        if self._signals is not None:
            self._signals.take_ending()
        if not self.ready.called:
            self.ready.callback(None)

    def _signalled(self, name: str) -> None:
        if self._stopping:
            log.info("{name} again: cutting what is left", name=name)
            self.rendezvous.abort()
            self._site.abort()
            return
        self._stopping = True
        log.info(
            "{name}: {pairs} pairs may end within {drain} s",
            name=name,
            pairs=self.rendezvous.pairs,
            drain=self._settings.drain,
        )
        self._close().addCallback(lambda _: self._reactor.stop())


def make_rendezvous(
    reactor: IReactorTime,
    settings: ServerSettings,
    processes: int = 1,
    memory: Memory | None = None,
) -> Rendezvous:
    """
    Where clients meet, as ``settings`` want it.

    :param processes: how many such places there are: each gets a part of what all share.
    :param memory: where several processes count by address.
    :raises RdvError: when there is no such ``serve`` hook.
    """
    relay = RelayLimits(
        settings.relay_rate,
        settings.relay_rate_total / processes,
        settings.relay_quota,
        settings.relay,
    )
    rendezvous = Rendezvous(
        reactor,
        lobby_timeout=settings.lobby_timeout,
        handshake_timeout=settings.handshake_timeout,
        idle_timeout=settings.idle_timeout,
        serve=load_hook(settings.serve) if settings.serve else None,
        align=settings.align,
        relay=relay,
    )
    rendezvous.newcomers.append(FirstClients(settings))
    rendezvous.admission = Admission(rendezvous.clock, limits_of(settings), memory)
    return rendezvous


def limits_of(settings: ServerSettings) -> Limits:
    """What one address may have, as ``settings`` want it."""
    if not settings.limits:
        return NO_LIMITS
    return Limits(
        settings.limit_connections,
        settings.limit_waiting,
        settings.limit_pairs,
        settings.limit_requests,
        settings.limit_failures,
    )


def make_site(
    reactor: IReactorTime,
    settings: ServerSettings,
    rendezvous: IRendezvous,
    door: Door | None = None,
) -> RendezvousSite:
    """
    The site that takes clients to ``rendezvous``; it has to be told of its ports.

    :param door: who may come in; None for everybody.
    :raises BadSettings: when one makes no sense without another.
    """
    if settings.observed_port_header and not settings.observed_header:
        raise BadSettings(["observed-port-header: only together with observed-header"])
    observed: ObservedAddress = peer_address
    short_way: ShortWay | None = ShortWay(rendezvous, _target(settings.path), door)
    admission: Admission | None = rendezvous.admission
    if settings.observed_header:
        observed = forwarded_address(settings.observed_header, settings.observed_port_header)
        short_way = admission = None  # they know of no proxies
    root = _at_path(RendezvousResource(rendezvous, observed, door=door), settings.path)
    health = HealthChecks(rendezvous, settings.health_path)
    return RendezvousSite(
        root,
        reactor,
        short_way,
        rendezvous.holders,
        health,
        admission,
        rendezvous.statistics,
    )


def named_ports(settings: ServerSettings, ports: Sequence[IListeningPort]) -> Ports:
    """
    Which of its ports a server names to its clients: those of the endpoint types ``tcp`` and
    ``ssl``, as a port on loopback is nobody else's; and none behind a proxy, which they cannot
    reach.

    :param ports: what :func:`rdv.server.site.listening.listen` returned for these settings.
    """
    found: dict[str, dict[int, None]] = {"tcp": {}, "ssl": {}}
    hosts: dict[int, frozenset[IPv4 | IPv6]] = {}
    if settings.observed_header is None:
        for kind, port in zip(endpoint_kinds(settings), ports, strict=True):
            host = port.getHost()
            if kind not in found or not isinstance(host, (IPv4Address, IPv6Address)):
                continue
            ip = parse_ip(host.host.partition("%")[0])
            if space_of(ip) is not AddressSpace.LOOPBACK:
                found[kind][host.port] = None
                hosts[host.port] = hosts.get(host.port, frozenset()) | {ip}
    return Ports(tuple(found["tcp"]), tuple(found["ssl"]), hosts)


def _target(path: str) -> bytes:
    """What a client asks for that is served at ``path``."""
    return b"/" + "/".join(filter(None, path.split("/"))).encode()


def _at_path(resource: Resource, path: str) -> Resource:
    """A root that serves ``resource`` at ``path`` only, or everywhere for ``/``."""
    for segment in reversed(path.split("/")):
        if segment:
            parent = Resource()
            parent.putChild(segment.encode(), resource)
            resource = parent
    return resource
