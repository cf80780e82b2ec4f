"""
The shortcut for a client of a standalone server.

A client whose first data is one plain head becomes a leg without an HTTP channel, unless the server
is stopping, or the door does not admit it immediately: see :mod:`rdv.server.site.slim`. A full
server also refuses clients without a channel, because many may come then, and retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from rdv._system.sockets import unread
from rdv._transport.prompt import hasten
from rdv.addresses import endpoint_text
from rdv.errors import BadRequest
from rdv.server.access.door import Door, Visitor
from rdv.server.leg import Leg
from rdv.server.limits.admission import TooMany
from rdv.server.limits.lease import NOBODY, Lease
from rdv.server.refusals import FULL
from rdv.server.resource import IRendezvous
from rdv.server.site.channel import Channel
from rdv.server.site.head import plain_head
from rdv.server.site.slim import InternetAddress, SlimChannel, SlimChannels
from rdv.wire import parse_offer, refusal

__all__ = ["CountedChannel", "ShortWay"]


@dataclass(frozen=True, slots=True)
class ShortWay:
    """
    The destination of the shortcut.

    :ivar path: the only target that is served; ``/`` for any.
    :ivar door: access checks; None to admit everybody.
    """

    rendezvous: IRendezvous
    path: bytes
    door: Door | None = None

    def take(self, channel: CountedChannel, data: bytes) -> bool:
        """See :class:`SlimChannels`."""
        channel.asks = True  # it must not be dropped to make room for itself
        head = plain_head(data)
        if head is None or self.path not in (b"/", head.target) or self.rendezvous.closing:
            return False
        try:
            offer = parse_offer(head.method, b"HTTP/1.1", head.values)
        except BadRequest:
            return False
        peer = channel.peer
        observed, user = endpoint_text(peer.host, peer.port), None
        if self.door is not None and self.door.checks:
            visitor = Visitor(offer, head.values, observed, peer)
            if not self.door.is_open(visitor):
                return False
            user = visitor.user
        # No peer can dial a client that sends from port 0. The door has checked its address anyway.
        leg = Leg(offer, observed if peer.port else "", self.rendezvous, user)
        leg.lease, leg.heard = channel.lease, len(data)
        if self.rendezvous.has_room(leg, channel.transport):
            channel.enter(self.rendezvous, leg, peer.host)
        else:
            leg.lease.misses(leg.token)
            self.rendezvous.statistics.refused(*FULL)
            _close_full(channel.transport)
        return True


class CountedChannel(SlimChannel):
    """
    A slim channel that is counted by the address of its client.

    :ivar lease: counts the connection.
    :ivar admitted: whether it has been admitted, or refused.
    :ivar asks: whether data has arrived.
    """

    __slots__ = ("_way", "admitted", "asks", "lease")

    lease: Lease

    def __init__(
        self, channels: SlimChannels[CountedChannel], peer: InternetAddress, way: ShortWay
    ) -> None:
        super().__init__(channels, peer)
        self._way = way
        self.asks = self.admitted = False
        self.lease = NOBODY

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(transport)
        if not isinstance(transport, Connection):
            return  # its HTTP channel counts it
        self.admitted = True
        try:
            self.lease = self._way.rendezvous.admission.admit(self.peer.host)
        except TooMany as error:
            if error.answered:
                cast(Channel, self.widen()).turn_away(error)
            else:
                transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.lease.end()

    def drop(self) -> bool:
        """Tell the client to retry, and close immediately; not if unread data is there."""
        if self.asks or unread(self.transport):
            return False
        self._channels.waiting.discard(self)
        _close_full(self.transport)
        return True


def _close_full(transport: ITransport) -> None:
    """Tell a client that there is no room, and close without waiting for it."""
    hasten(transport)
    transport.write(refusal(*FULL))
    transport.loseConnection()
