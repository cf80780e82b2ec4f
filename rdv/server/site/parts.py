"""
Makes the parts of a server from its settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.web.resource import Resource

from rdv.addresses import AddressSpace, endpoint_address, space_of
from rdv.errors import BadSettings
from rdv.server.access.door import Door
from rdv.server.access.hook import load_hook
from rdv.server.limits.admission import Admission
from rdv.server.limits.memory import Memory
from rdv.server.limits.numbers import NO_LIMITS, Limits
from rdv.server.logs.first_clients import FirstClients
from rdv.server.observed import ObservedAddress, forwarded_address, peer_address
from rdv.server.ports import Ports
from rdv.server.relay.limits import RelayLimits
from rdv.server.rendezvous import Rendezvous
from rdv.server.resource import IRendezvous, RendezvousResource
from rdv.server.site.health import HealthChecks
from rdv.server.site.listening import endpoint_kinds
from rdv.server.site.short_way import ShortWay
from rdv.server.site.site import RendezvousSite
from rdv.settings import ServerSettings

__all__ = ["limits_of", "make_rendezvous", "make_site", "named_ports", "relay_limits_of", "retune"]


def make_rendezvous(
    reactor: IReactorTime,
    settings: ServerSettings,
    processes: int = 1,
    memory: Memory | None = None,
) -> Rendezvous:
    """
    The rendezvous for ``settings``.

    :param processes: the number of processes: each gets a part of the common limits.
    :param memory: shared memory for the counts by address, with several processes.
    :raises RdvError: when the ``serve`` hook does not exist.
    """
    rendezvous = Rendezvous(
        reactor,
        lobby_timeout=settings.lobby_timeout,
        handshake_timeout=settings.handshake_timeout,
        idle_timeout=settings.idle_timeout,
        serve=load_hook(settings.serve) if settings.serve else None,
        align=settings.align,
        relay=relay_limits_of(settings, processes),
    )
    rendezvous.newcomers.append(FirstClients(settings))
    rendezvous.admission = Admission(rendezvous.clock, limits_of(settings), memory)
    return rendezvous


def retune(
    rendezvous: Rendezvous, site: RendezvousSite, settings: ServerSettings, processes: int = 1
) -> None:
    """Change the settings of a running server, except those that are ``at_start``."""
    rendezvous.present.lobby.retime(settings.lobby_timeout)
    for waiting in (rendezvous.present.meeting, rendezvous.decisions):
        if waiting is not None:
            waiting.retime(settings.handshake_timeout)
    rendezvous.idle_timeout = settings.idle_timeout
    rendezvous.align = settings.align
    rendezvous.relaying.use(relay_limits_of(settings, processes))
    rendezvous.admission.use(limits_of(settings))
    if site.health is not None:
        site.health.use(settings.health_path)


def relay_limits_of(settings: ServerSettings, processes: int = 1) -> RelayLimits:
    """The relay limits in one of this many processes."""
    return RelayLimits(
        rate=settings.relay_rate,
        total_rate=settings.relay_rate_total / processes,
        quota=settings.relay_quota,
        allowed=settings.relay,
    )


def limits_of(settings: ServerSettings) -> Limits:
    """The limits per address in ``settings``."""
    if not settings.limits:
        return NO_LIMITS
    return Limits(
        connections=settings.limit_connections,
        waiting=settings.limit_waiting,
        pairs=settings.limit_pairs,
        requests=settings.limit_requests,
        failures=settings.limit_failures,
    )


def make_site(
    reactor: IReactorTime,
    settings: ServerSettings,
    rendezvous: IRendezvous,
    door: Door | None = None,
) -> RendezvousSite:
    """
    The site for ``rendezvous``; its ports must be set afterwards.

    :param door: access checks; None to admit everybody.
    :raises BadSettings: when a setting makes no sense without another.
    """
    if settings.observed_port_header and not settings.observed_header:
        raise BadSettings(["observed-port-header: needs observed-header"])
    observed: ObservedAddress = peer_address
    short_way: ShortWay | None = ShortWay(rendezvous, _target(settings.path), door)
    admission: Admission | None = rendezvous.admission
    if settings.observed_header:
        observed = forwarded_address(settings.observed_header, settings.observed_port_header)
        short_way = admission = None  # both only use the address of the connection
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
        rendezvous.budget,
    )


def named_ports(settings: ServerSettings, ports: Sequence[IListeningPort]) -> Ports:
    """
    The ports that a server reports to its clients: those of the endpoint types ``tcp`` and ``ssl``
    (a port on loopback cannot belong to another host); none behind a proxy, because clients cannot
    reach them.

    :param ports: what :func:`rdv.server.site.listening.listen` returned for these settings.
    """
    found: dict[str, dict[int, None]] = {"tcp": {}, "ssl": {}}
    hosts: dict[int, frozenset[IPv4 | IPv6]] = {}
    if settings.observed_header is None:
        for kind, port in zip(endpoint_kinds(settings), ports, strict=True):
            host = port.getHost()
            if kind not in found or not isinstance(host, (IPv4Address, IPv6Address)):
                continue
            ip = endpoint_address(host.host, host.port).ip
            if space_of(ip) is not AddressSpace.LOOPBACK:
                found[kind][host.port] = None
                hosts[host.port] = hosts.get(host.port, frozenset()) | {ip}
    return Ports(tuple(found["tcp"]), tuple(found["ssl"]), hosts)


def _target(path: str) -> bytes:
    """The request target for ``path``."""
    return b"/" + "/".join(filter(None, path.split("/"))).encode()


def _at_path(resource: Resource, path: str) -> Resource:
    """A root that serves ``resource`` at ``path`` only, or everywhere for ``/``."""
    for segment in reversed(path.split("/")):
        if segment:
            parent = Resource()
            parent.putChild(segment.encode(), resource)
            resource = parent
    return resource
