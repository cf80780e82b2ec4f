"""
The shortcut for a client of a standalone server.

Nearly every client sends one plain head in one piece. It becomes a leg as soon as it has been read,
without an HTTP channel, a request and a timer of its own. Everything else, or nothing in time, gets
the channel of ``twisted.web`` and is answered there, byte for byte as if it had had one from the
start: a head in pieces, a body, a pipeline, an error, a server that is stopping, a door that does
not admit it immediately; and all clients that connect through TLS, a PROXY header or a Unix socket.
A server that is full says so without a channel: many clients may come then, and come again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IProtocol, IReactorTime, ITransport
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._deadlines import Deadlines
from rdv._system.sockets import unread
from rdv._transport.handover import receive_from
from rdv._transport.prompt import hasten
from rdv.addresses import endpoint_text
from rdv.errors import BadRequest
from rdv.server.access.door import Door, Visitor
from rdv.server.descriptors.shedding import Holder
from rdv.server.leg import Leg
from rdv.server.limits.admission import TooMany
from rdv.server.limits.lease import NOBODY, Lease
from rdv.server.refusals import FULL
from rdv.server.resource import IRendezvous
from rdv.server.site.channel import Channel
from rdv.server.site.head import plain_head
from rdv.wire import parse_offer, refusal

__all__ = ["InternetAddress", "ShortWay", "SlimChannel", "SlimChannels"]

InternetAddress: TypeAlias = IPv4Address | IPv6Address


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

    def take(self, transport: Connection, peer: InternetAddress, lease: Lease, data: bytes) -> bool:
        """
        Admit a client by the data that it has sent.

        :param lease: counts the connection.
        :return: False if this cannot be decided here; then nothing has happened.
        """
        head = plain_head(data)
        if head is None or self.path not in (b"/", head.target) or self.rendezvous.closing:
            return False
        try:
            offer = parse_offer(head.method, b"HTTP/1.1", head.values)
        except BadRequest:
            return False
        observed, user = endpoint_text(peer.host, peer.port), None
        if self.door is not None and self.door.checks:
            visitor = Visitor(offer, head.values, observed, peer)
            if not self.door.is_open(visitor):
                return False
            user = visitor.user
        # A stranger may send from port 0, at which nobody can be reached. The door knows it anyway.
        leg = Leg(offer, observed if peer.port else "", self.rendezvous, user)
        leg.lease, leg.heard = lease, len(data)
        if not self.rendezvous.has_room(leg, transport):
            leg.lease.misses(leg.token)
            self.rendezvous.statistics.refused(*FULL)
            _close_full(transport)
            return True
        self.rendezvous.admission.named(lease, peer.host, leg.addresses)
        receive_from(transport, leg)
        leg.makeConnection(transport)
        self.rendezvous.enter(leg)
        return True


class SlimChannels:
    """
    The slim channels of one site.

    :ivar waiting: channels that have not received anything yet.
    :param way: the destination of their clients.
    :param patience: time limit for a request in seconds.
    :param widen: makes a channel of ``twisted.web`` for a request that must be complete within a
        given number of seconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        way: ShortWay,
        patience: float,
        widen: Callable[[float], Channel],
    ) -> None:
        self.way = way
        self.widen = widen
        self.waiting: Deadlines[SlimChannel] = Deadlines(clock, patience, SlimChannel.expire)

    def holders(self) -> Iterator[Holder]:
        """Connections on which nothing has arrived yet."""
        for channel, since in self.waiting.begun():
            yield Holder(since, channel.host, channel.drop)


@implementer(IProtocol)
class SlimChannel:
    """A connection until its first data arrives."""

    __slots__ = ("_asks", "_channels", "_lease", "_peer", "transport")

    transport: ITransport

    def __init__(self, channels: SlimChannels, peer: InternetAddress) -> None:
        self._channels = channels
        self._peer = peer
        self._lease = NOBODY
        self._asks = False

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = transport
        self._channels.waiting.add(self)
        if not isinstance(transport, Connection):
            self._widen(admitted=False)
            return
        try:
            self._lease = self._channels.way.rendezvous.admission.admit(self._peer.host)
        except TooMany as error:
            if error.answered:
                self._widen().turn_away(error)
            else:
                transport.abortConnection()

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        self._asks = True  # room may be made for it, and not by dropping it
        try:
            taken = self._channels.way.take(transport, self._peer, self._lease, data)
        except BaseException:
            self._channels.waiting.discard(self)  # nobody else would, as this is a leg by now
            raise
        if taken:
            self._channels.waiting.discard(self)
        else:
            self._widen().dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        self._channels.waiting.discard(self)
        self._lease.end()

    @property
    def host(self) -> str:
        """The client's address."""
        return self._peer.host

    def drop(self) -> bool:
        """Tell the client to retry, and close immediately; not if unread data is there."""
        if self._asks or unread(self.transport):
            return False
        self._channels.waiting.discard(self)
        _close_full(self.transport)
        return True

    def expire(self) -> None:
        """Nothing has arrived in time."""
        self._widen().timeoutConnection()  # type: ignore[no-untyped-call]

    def _widen(self, *, admitted: bool = True) -> Channel:
        """Continue as if the connection had had a channel of ``twisted.web`` from the start."""
        channel = self._channels.widen(self._channels.waiting.left(self))
        channel.lease, channel.admitted = self._lease, admitted
        self._channels.waiting.discard(self)
        receive_from(self.transport, channel)
        channel.makeConnection(self.transport)  # type: ignore[no-untyped-call]
        return channel


def _close_full(transport: ITransport) -> None:
    """There is no room: the client is told so, and need not close."""
    hasten(transport)
    transport.write(refusal(*FULL))
    transport.loseConnection()
