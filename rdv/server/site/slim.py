"""
A connection to a site until its first data arrives.

Nearly every client sends one plain head in one piece. It becomes a leg as soon as it has been read,
without an HTTP channel, a request and a timer of its own. Everything else, or nothing in time, gets
the protocol of ``twisted.web`` and is answered there, byte for byte as if it had had one from the
start; so do all clients that connect through TLS, a PROXY header or a Unix socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IProtocol, IReactorTime, ITransport
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._deadlines import Deadlines
from rdv._transport.handover import receive_from
from rdv.server.leg import Leg
from rdv.server.resource import IRendezvous

__all__ = ["InternetAddress", "SlimChannel", "SlimChannels"]

InternetAddress: TypeAlias = IPv4Address | IPv6Address

C = TypeVar("C", bound="SlimChannel")


class SlimChannels(Generic[C]):
    """
    What the slim channels of a factory have in common.

    :ivar waiting: channels that have not received anything yet.
    :param patience: time limit for a request in seconds; 0 for none.
    :param take: admits the client of a channel by the data that it has sent. It returns False if
        this cannot be decided there; then nothing has happened.
    :param widen: makes the protocol of ``twisted.web`` for a channel, and is told whether the time
        has expired.
    """

    def __init__(
        self,
        clock: IReactorTime,
        patience: float,
        take: Callable[[C, bytes], bool],
        widen: Callable[[C, bool], IProtocol],
    ) -> None:
        self.patience = patience
        self.take = take
        self.widen = widen
        self.waiting: Deadlines[C] = Deadlines(clock, patience, lambda channel: channel.expire())


@implementer(IProtocol)
class SlimChannel:
    """
    A connection until its first data arrives.

    :ivar peer: the client's address.
    """

    __slots__ = ("_channels", "_wide", "peer", "transport")

    transport: ITransport

    def __init__(self, channels: SlimChannels[Any], peer: InternetAddress) -> None:
        self._channels = channels
        self._wide: IProtocol | None = None
        self.peer = peer

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = transport
        self._channels.waiting.add(self)
        if not self._receives(transport):
            self.widen()

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        if self._wide is not None:  # not every transport can get another protocol
            self._wide.dataReceived(data)
            return
        try:
            taken = self._channels.take(self, data)
        except BaseException:
            self._channels.waiting.discard(self)  # this is a leg by now, and does not do it
            raise
        if taken:
            self._channels.waiting.discard(self)
        else:
            self.widen().dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        self._channels.waiting.discard(self)
        if self._wide is not None:
            self._wide.connectionLost(reason)

    def _receives(self, transport: ITransport) -> bool:
        """Whether it is a connection whose data arrives here, and not at a protocol in front."""
        return isinstance(transport, Connection) and transport.protocol is self

    def expire(self) -> None:
        """Nothing has arrived in time."""
        self.widen(expired=True)

    def widen(self, *, expired: bool = False) -> IProtocol:
        """Continue as if the connection had had a protocol of ``twisted.web`` from the start."""
        wide: IProtocol = self._channels.widen(self, expired)
        self._channels.waiting.discard(self)
        self._wide = wide
        wrapper = self.transport
        is_wrapped = isinstance(wrapper, ProtocolWrapper) and wrapper.wrappedProtocol is self
        if is_wrapped or self._receives(wrapper):
            receive_from(wrapper, wide)
        wide.makeConnection(self.transport)
        return wide

    def enter(self, rendezvous: IRendezvous, leg: Leg, host: str) -> None:
        """
        Become a client that is admitted and has room.

        :param host: the client's address, without a port.
        """
        rendezvous.admission.named(leg.lease, host, leg.addresses)
        receive_from(self.transport, leg)
        leg.makeConnection(self.transport)
        rendezvous.enter(leg)
