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


class Leg(PlainLeg):
    """
    A connection and what its client said of itself. As small as can be: a server holds thousands.

    :ivar arrived: when it came to its rendezvous, in seconds of the clock there.
    :ivar addresses: the client's own addresses, formatted.
    :ivar heard: how many bytes it had sent when it became one, if the connection is the client's
        own and nothing else has come on it; 0 when that is not known.
    :ivar lease: by which it is counted, which ends with the connection.
    :ivar owner: who is told what happens.
    :ivar trip: the round trip to it, in seconds, when it was last seen to be silent; 0 when that is
        not known.
    :ivar user: who it is, as whoever let it in says; None when nobody does.
    :ivar written: whether what it gets is all with the kernel, and our end behind it.
    """

    __slots__ = (
        "_id",
        "_observed",
        "addresses",
        "arrived",
        "heard",
        "lease",
        "role",
        "token",
        "trip",
        "user",
    )

    owner: LegOwner[Leg]

    def __init__(
        self, offer: Offer, observed: str, owner: LegOwner[Leg], user: str | None = None
    ) -> None:
        super().__init__(owner)
        self._id = 0  # made when it is asked for
        self.arrived = 0.0
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
        A random number of 32 bits by which the log knows the client, and the pair that comes of its
        waiting. It is no secret.
        """
        if not self._id:
            self._id = getrandbits(32)
        return self._id

    def rename(self, number: int = 0) -> None:
        """Have another :attr:`id`; with 0, one that nobody has."""
        self._id = number

    @property
    def observed(self) -> str:
        """Its address as the server sees it, formatted; empty when unknown."""
        if self._observed is None:
            peer: Any = self.transport.getPeer()
            self._observed = endpoint_text(peer.host, peer.port)
        return self._observed

    def shrink(self) -> None:
        """Forget, for a long wait, what can be found out again."""
        if self.heard and self._observed:  # where it is unknown it stays so
            self._observed = None
            name(self.transport, "client")

    @property
    def candidates(self) -> str:
        """Where its peer may try to reach it: its own addresses, then the observed one."""
        return ", ".join(filter(None, (self.addresses, self.observed)))

    @property
    def network(self) -> bytes:
        """
        Where it comes from; see :func:`rdv.addresses.network_of`. Empty when that is unknown, or a
        proxy that hides it.
        """
        if self.lease.is_hidden:
            return b""
        # What it is counted by, if it is: somebody at port 0 has no observed address.
        known = self.lease.place.text
        return known or (network_of(host_of(self.observed)) if self.observed else b"")

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(transport)
        name(transport, self.observed or "client")

    def is_silent(self) -> bool:
        """
        Whether the client is still there and has sent nothing, as far as the kernel knows. If not,
        the owner is told.
        """
        if self.heard:  # what is asked then is wanted anyway
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
        self.lease.end()  # before anybody is told that all have gone
        super().connectionLost(reason)
