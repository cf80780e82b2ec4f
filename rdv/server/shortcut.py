"""
The shortcut to a rendezvous inside another site.

It skips everything between a connection and the resource, so it is only taken if there is only
what ``twisted.web`` itself does. This is checked for each client, in the resources of the site, and
never assumed.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from rdv import _knobs as knobs
from rdv._system.clock import MonotonicView, monotonic
from rdv._system.sockets import tune_port_of
from rdv.addresses import endpoint_text, host_of
from rdv.errors import BadRequest
from rdv.server.leg import Leg
from rdv.server.resource import IRendezvous, plain_rendezvous
from rdv.server.site.head import plain_head
from rdv.server.site.slim import SlimChannel, SlimChannels
from rdv.wire import parse_offer

__all__ = ["ShortcutFactory"]

#: The attributes by which a request gets from its connection to a resource. A site or a request
#: class with its own version of one may turn clients away there.
_OF_SITES = ("buildProtocol", "getResourceFor", "protocol")
_OF_REQUESTS = (
    "__getattribute__",
    "__init__",
    "__new__",
    "__setattr__",
    "channel",
    "client",
    "clientproto",
    "content",
    "getClientAddress",
    "gotLength",
    "method",
    "parseCookies",
    "path",
    "postpath",
    "prepath",
    "process",
    "render",
    "requestHeaders",
    "requestReceived",
    "site",
    "uri",
)


@implementer(IProtocolFactory, IProtocolNegotiationFactory, ILoggingContext)
class ShortcutFactory:
    """
    Listens in place of a site, so that clients of its :class:`RendezvousResource` cost less.

    ::

        reactor.listenTCP(8080, ShortcutFactory(Site(root)))

    A client whose first data is one complete plain request is taken over without a channel and a
    request of ``twisted.web``. Everything else, and silence, is left to the site, which answers as
    if it were listening itself. No check is bypassed: only children (``putChild``) of plain
    resources may lead such a client to the resource, and a resource with ``identify`` or
    ``observed_address`` is always asked. Clients take the usual way if a guard, a virtual host or
    another resource makes its own decisions, and also through TLS, a PROXY header, a Unix socket,
    or a wrapping factory or protocol. None of this needs configuration.

    On Linux, connections of a TCP port whose clients take the shortcut inherit ``TCP_NODELAY`` and
    keepalive from it, including those with other requests.

    :param site: a ``twisted.web`` site, with any resources.
    :ivar site: the same.
    :ivar taken: how many clients have taken the shortcut.
    :raises TypeError: when it is not a site, or finds resources or builds protocols in its own way,
        or has a request class that is made or processed in its own way: the shortcut would bypass
        that.
    """

    def __init__(self, site: Site) -> None:
        self.site = knobs.instance("site", site, Site, "a Site")
        if found := _detour(site):
            raise TypeError(f"site: the shortcut would bypass its own {found}")
        self.taken = 0
        clock: object = monotonic(site.reactor)
        self._view = clock if isinstance(clock, MonotonicView) else None
        self._slim = self._channels()

    @property
    def noisy(self) -> bool:
        """Whether the site logs that it starts and stops."""
        return self.site.noisy

    def logPrefix(self) -> str:
        """See :class:`ILoggingContext`."""
        prefix: str = self.site.logPrefix()
        return prefix

    def doStart(self) -> None:
        """A port starts to listen."""
        self.site.doStart()
        if self._view is not None:
            self._view.keep_alarm()

    def doStop(self) -> None:
        """A port stops listening."""
        if self._view is not None:
            self._view.release_alarm()
        self.site.doStop()

    def acceptableProtocols(self) -> list[bytes]:
        """See :class:`IProtocolNegotiationFactory`."""
        protocols: list[bytes] = self.site.acceptableProtocols()
        return protocols

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """See :class:`IProtocolFactory`."""
        if not isinstance(addr, (IPv4Address, IPv6Address)) or _detour(self.site):
            return self._build(addr)
        if self._slim.patience != _patience(self.site):
            self._slim = self._channels()
        return SlimChannel(self._slim, addr)

    def _channels(self) -> SlimChannels[SlimChannel]:
        return SlimChannels(self.site.reactor, _patience(self.site), self._take, self._widen)

    def _build(self, addr: IAddress | None) -> IProtocol | None:
        built: IProtocol | None = self.site.buildProtocol(addr)
        return built

    def _widen(self, slim: SlimChannel, expired: bool) -> IProtocol:
        wide: Any = self._build(slim.peer)
        if wide is None:  # the site has been changed meanwhile
            slim.transport.loseConnection()
            return Protocol()
        if expired:  # otherwise there is data, and twisted.web counts from that
            wide.timeOut = 0
        return cast(IProtocol, wide)

    def _take(self, slim: SlimChannel, data: bytes) -> bool:
        head = plain_head(data)
        if head is None or _detour(self.site):
            return False
        rendezvous = _led_to(self.site.resource, head.target)
        if rendezvous is None or rendezvous.closing:
            return False
        try:
            offer = parse_offer(head.method, b"HTTP/1.1", head.values)
        except BadRequest:
            return False
        admission, observed = rendezvous.admission, endpoint_text(slim.peer.host, slim.peer.port)
        host = host_of(observed)
        leg = Leg(offer, observed if slim.peer.port else "", rendezvous)
        leg.lease, leg.heard = admission.lease(host, counted=False), len(data)
        if not (rendezvous.has_room(leg, slim.transport) and admission.try_ask(host)):
            return False
        tune_port_of(cast(Connection, slim.transport))
        self.taken += 1
        slim.enter(rendezvous, leg, host)
        return True


def _patience(site: Site) -> float:
    """The time limit of a site for a request in seconds, in the form that a slim channel uses."""
    return 0.0 if site.timeOut is None else max(site.timeOut, 1e-9)


def _detour(site: Site) -> str | None:
    """The attribute in which a site deviates between a connection and the resource, if any."""
    kind, requests = type(site), cast(object, site.requestFactory)
    for name in _OF_SITES:
        if name in vars(site) or getattr(kind, name) is not getattr(Site, name):
            return name
    if requests is Request:
        return None
    if not (isinstance(requests, type) and issubclass(requests, Request)):
        return "requestFactory"
    if type(requests) is not type(Request):
        return f"{type(requests).__name__} of {requests.__name__}"
    for each in requests.__mro__:
        if each not in Request.__mro__:
            for name in _OF_REQUESTS:
                if name in vars(each):
                    return f"{each.__name__}.{name}"
    return None


def _led_to(resource: object, target: bytes) -> IRendezvous | None:
    """The rendezvous at a path, if only the path leads to it."""
    for segment in target[1:].split(b"/"):
        if not _knows_children(resource):
            return None
        if getattr(resource, "isLeaf", False):
            break
        children = getattr(resource, "children", None)
        if type(children) is not dict:  # another mapping may have a look-up of its own
            return None
        resource = children.get(segment)
    return plain_rendezvous(resource)


def _knows_children(resource: object) -> bool:
    """Whether a resource looks up its children as twisted.web does."""
    look_up = type(resource).getChildWithDefault if isinstance(resource, Resource) else None
    return look_up is Resource.getChildWithDefault and "getChildWithDefault" not in vars(resource)
