"""
The ``twisted.web`` resource: refuses what is no offer, and takes the connection of what is one.

A bad request is answered as plain HTTP. The connection of a good one is detached *inside*
``render``: from then on no Request, channel or timer exists for it, only a ``Leg`` with slots, and
of Twisted's what a connection has anyway. Bytes that came behind the request are delivered to the
leg, which earns the client its 400. What is no request of a reasonable size is answered by the site
of a server of its own, which then reads on for a while and drops what comes: a socket that is
closed with unread input is reset, and the answer may be lost with it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Protocol, cast

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rdv import _knobs as knobs
from rdv._flows.joint import LegOwner
from rdv._transport.handover import hand_over
from rdv.addresses import space_of
from rdv.errors import BadRequest
from rdv.server.leg import Leg
from rdv.server.observed import ObservedAddress, peer_address
from rdv.wire import RETRY_AFTER, Offer, parse_offer

__all__ = ["IRendezvous", "RendezvousResource"]


class IRendezvous(LegOwner[Leg], Protocol):
    """Where a client goes: a :class:`rdv.server.Rendezvous`, or what knows the way to one."""

    @property
    def closing(self) -> bool:
        """Whether whoever comes now is refused."""

    def has_room(self, leg: Leg, transport: object) -> bool:
        """Whether the client on ``transport`` may enter; see there, too."""

    def enter(self, leg: Leg, early: bytes = b"") -> None:
        """Take a client in, whose owner it is; see :meth:`rdv.server.Rendezvous.enter`."""


class RendezvousResource(Resource):
    """
    A rendezvous at some path of some ``Site``, plain or TLS, with whatever resources, guards and
    wrappers round it.

    Several may share one :class:`Rendezvous`: their clients then meet each other.

    :param rendezvous: where clients meet.
    :param observed_address: says from which address a request came; see :mod:`rdv.server.observed`.
    :raises TypeError: when one of them is of the wrong type; the text names it.
    """

    isLeaf = True

    def __init__(
        self, rendezvous: IRendezvous, observed_address: ObservedAddress = peer_address
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rendezvous = knobs.with_methods(
            "rendezvous", rendezvous, ("enter", "has_room"), "a Rendezvous"
        )
        self._observed_address = knobs.function("observed_address", observed_address)

    def render(self, request: IRequest) -> int | bytes:
        """
        Answer a bad request over HTTP; take the connection of a good one away from HTTP at once.

        A request that was taken writes no access-log line, and its ``notifyFinish`` never fires.
        """
        request = cast(Request, request)
        if request.channel is None:  # the client has left while some guard was thinking
            return NOT_DONE_YET
        try:
            offer = self._parse(request)
        except BadRequest as error:
            return _refuse(request, error)
        leg = Leg(offer, self._observe(request), self._rendezvous)
        if not self._rendezvous.has_room(leg, request.channel.transport):
            return _refuse(request, BadRequest("no room for more clients, try again later", 503))
        self._rendezvous.enter(leg, _detach(request, leg))
        return NOT_DONE_YET

    def _parse(self, request: Request) -> Offer:
        headers = request.requestHeaders
        offer = parse_offer(
            request.method, request.clientproto, lambda name: headers.getRawHeaders(name, [])
        )
        if headers.hasHeader("expect") or (request.content is not None and request.content.read(1)):
            raise BadRequest("bytes before the response: an offer has no body")
        if self._rendezvous.closing:
            raise BadRequest("shutting down, try again", 503)
        return offer

    def _observe(self, request: Request) -> str:
        address = self._observed_address(request)
        if address is None or not space_of(address.ip) or not address.port:
            return ""
        return str(address)


def _refuse(request: Request, error: BadRequest) -> bytes:
    # twisted.web has no phrase for 426.
    request.setResponseCode(error.status, HTTPStatus(error.status).phrase.encode())
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    if error.status == 426:
        request.responseHeaders.addRawHeader("Connection", "Upgrade")
        request.setHeader("Upgrade", "rdv/1")
    if error.status == 503:
        request.setHeader("Retry-After", str(RETRY_AFTER))
        # Nor is there anything else for this client.
        request.setHeader("Connection", "close")
        channel: Any = request.channel
        channel.persistent = False
    body = f"{error}\n".encode()
    if request.method != b"HEAD":
        return body
    request.setHeader("Content-Length", str(len(body)))
    return b""


def _detach(request: Request, leg: Leg) -> bytes:
    """
    Take the connection from ``twisted.web`` and give it to ``leg``.

    What comes from now on arrives at the leg. Channel and request are left to the garbage
    collector, without a timer.

    :return: what has already been received behind the request.
    """
    channel: Any = request.channel
    behind: list[bytes] = []
    # To the channel the request is done, and it takes up what it kept back meanwhile.
    channel.persistent = True
    channel.dataReceived = behind.append
    channel.requestDone(request)
    behind.append(channel.clearLineBuffer())
    transport = channel.transport
    transport.unregisterProducer()
    channel.setTimeout(None)
    channel.transport = None
    hand_over(transport, leg)
    return b"".join(behind)
