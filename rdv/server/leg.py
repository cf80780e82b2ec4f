"""
One client's connection to the server, after it has left HTTP.
"""

from __future__ import annotations

from typing import Protocol, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._system.sockets import name
from rdv._transport.interfaces import StreamTransport
from rdv.wire import Offer, Role, refusal, token_hint

__all__ = ["Leg", "LegOwner", "note_client"]

_HELD = ", {held} held back for {hold:.3f} s"


class LegOwner(Protocol):
    """Who is told what happens on a leg: each phase of its life has one."""

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """Bytes came."""

    def leg_ended(self, leg: Leg) -> None:
        """The client will send no more; it may still be reading."""

    def leg_written(self, leg: Leg) -> None:
        """What it gets is all with the kernel, and our end behind it."""

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """The connection is gone."""


@implementer(IProtocol, IHalfCloseableProtocol)
class Leg:
    """
    A connection and what its client said of itself. As small as can be: a server holds thousands.

    :ivar addresses: the client's own addresses, formatted.
    :ivar observed: its address as the server sees it, formatted; empty when unknown.
    :ivar owner: who is told what happens.
    :ivar written: whether what it gets is all with the kernel, and our end behind it.
    """

    __slots__ = ("addresses", "observed", "owner", "role", "token", "transport", "written")

    transport: StreamTransport

    def __init__(self, offer: Offer, addresses: str, observed: str, owner: LegOwner) -> None:
        self.role: Role = offer.role
        self.token: bytes = offer.token
        self.addresses = addresses
        self.observed = observed
        self.owner = owner
        self.written = False

    @property
    def candidates(self) -> str:
        """Where its peer may try to reach it: its own addresses, then the observed one."""
        return ", ".join(filter(None, (self.addresses, self.observed)))

    def refuse(self, status: int, reason: str) -> None:
        """Answer with an HTTP error and end our direction. The client is expected to close."""
        self.transport.write(refusal(status, reason))
        self.transport.loseWriteConnection()

    def makeConnection(self, transport: ITransport) -> None:
        """See :class:`IProtocol`."""
        self.transport = cast(StreamTransport, transport)
        name(transport, self.observed or "client")

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        """See :class:`IProtocol`."""
        self.owner.leg_received(self, data)

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self.owner.leg_ended(self)

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self.written = True
        self.owner.leg_written(self)

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IProtocol`."""
        self.owner.leg_lost(self, reason)
        del self.owner  # a cycle


def note_client(log: Logger, event: str, leg: Leg, **fields: object) -> None:
    """Log that something has happened to a client, as an event with named fields."""
    log.debug(
        "{event}: {role} {token} from {observed}" + (_HELD if fields.get("held") else ""),
        event=event,
        role=leg.role.name.lower(),
        token=token_hint(leg.token),
        observed=leg.observed or "unknown",
        **fields,
    )
