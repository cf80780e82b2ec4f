"""
One client's connection to the server, after it has left HTTP.
"""

from __future__ import annotations

from random import getrandbits
from typing import Any

from twisted.internet.interfaces import ITransport
from twisted.python.failure import Failure

from rdv._flows.joint import LegOwner, PlainLeg
from rdv._system.sockets import name, unread
from rdv._system.tcp_info import arrival
from rdv.addresses import endpoint_text, host_of, network_of
from rdv.server.limits.lease import NOBODY, Lease
from rdv.wire import Offer, Role

__all__ = ["Leg"]

#: A client that enters the lobby within this many seconds of its arrival did so immediately.
_AT_ONCE = 0.001


class Leg(PlainLeg):
    """
    A connection and the client's offer. It is as small as possible: a server holds thousands.

    :ivar arrived: when the client entered its rendezvous, in seconds of the rendezvous' clock.
    :ivar addresses: the client's self addresses, formatted.
    :ivar heard: how many bytes the client had sent when its connection became a leg, if the
        connection is the client's own and carried nothing else; 0 if unknown.
    :ivar lease: counts the connection, and ends with it.
    :ivar owner: is notified of events.
    :ivar since: when the client last entered the lobby, in seconds of the same clock as
        ``arrived``.
    :ivar trip: the round-trip time to the client in seconds when it was last found silent; 0 if
        unknown.
    :ivar user: the user that the access check reported; None if it reported none.
    :ivar written: whether all data for the client, and our end after it, is in the kernel.
    """

    __slots__ = (
        "_id",
        "_observed",
        "addresses",
        "arrived",
        "heard",
        "lease",
        "role",
        "since",
        "token",
        "trip",
        "user",
    )

    owner: LegOwner[Leg]

    def __init__(
        self, offer: Offer, observed: str, owner: LegOwner[Leg], user: str | None = None
    ) -> None:
        super().__init__(owner)
        self._id = 0  # generated when it is first used
        self.arrived = self.since = 0.0
        self.role: Role = offer.role
        self.token: bytes = offer.token
        self.addresses = offer.addresses
        self.lease: Lease = NOBODY
        self._observed: str | None = observed
        self.user = user
        self.heard = 0
        self.trip = 0.0

    @property
    def id(self) -> int:
        """
        A random 32-bit number that identifies the client in the log, and the pair that results from
        its waiting. It is not secret.
        """
        if not self._id:
            self._id = getrandbits(32)
        return self._id

    def rename(self, number: int = 0) -> None:
        """Change :attr:`id`; 0 means a new one that is not in use."""
        self._id = number

    @property
    def observed(self) -> str:
        """The client's observed address, formatted; empty if unknown."""
        if self._observed is None:
            peer: Any = self.transport.getPeer()
            self._observed = endpoint_text(peer.host, peer.port)
        return self._observed

    def shrink(self) -> None:
        """In the lobby, before a long wait: forget whatever can be looked up again."""
        if self.since - self.arrived < _AT_ONCE:  # both then refer to one float
            self.arrived = self.since
        if self.heard and self._observed:  # an unknown address cannot be looked up
            self._observed = None
            name(self.transport, "client")

    @property
    def candidates(self) -> str:
        """The addresses for its peer to dial: the self addresses, then the observed address."""
        return ", ".join(filter(None, (self.addresses, self.observed)))

    @property
    def network(self) -> bytes:
        """
        The client's network; see :func:`rdv.addresses.network_of`. Empty if it is unknown, or if a
        proxy hides the client.
        """
        if self.lease.is_hidden:
            return b""
        # The network by which it is counted, if it is: a client that was passed on with port 0 has
        # no observed address.
        known = self.lease.place.text
        return known or (network_of(host_of(self.observed)) if self.observed else b"")

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(transport)
        name(transport, self.observed or "client")

    def is_silent(self) -> bool:
        """
        Whether the client is still connected and has sent nothing, as far as the kernel knows. If
        not, the owner is notified.
        """
        if self.heard:  # this also measures the round-trip time, which is needed anyway
            seen = arrival(self.transport)
            if seen is not None and seen[0] == self.heard:
                self.trip = seen[1]
                return True
        data = unread(self.transport)
        if data is None:
            return True
        if data:
            self.dataReceived(data)
        else:
            self.readConnectionLost()
        return False

    def connectionLost(self, reason: Failure) -> None:
        self.lease.end()  # before the owner is notified that the client has gone
        super().connectionLost(reason)
