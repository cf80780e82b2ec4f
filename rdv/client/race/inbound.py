"""
Incoming connections to the shared port, combined into one contender.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6
from typing import Any, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from rdv.addresses import endpoint_address, space_of
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.wire import Role

__all__ = ["Inbound"]

IP: TypeAlias = IPv4 | IPv6


def _nobody(ip: IP) -> bool:
    return False


class Inbound(ServerFactory[Any]):
    """
    Listens for the peer, and keeps other hosts from getting in its way.

    A connection that arrives before the server has answered is held, and nothing is sent on it. The
    same applies afterwards to a connection from an address that cannot be the peer's. At most
    :attr:`limit` connections exist at a time from each address that the server named, and the same
    number from all others together; the oldest makes room.

    :ivar first: fires with the first candidate that was chosen. It exists since :meth:`begin`.
        Cancelling it stops the handshakes of all of them.
    """

    first: Deferred[Candidate]
    noisy = False
    limit = 16

    def __init__(self, context: Context) -> None:
        self._context = context
        self._visitors: dict[Candidate, IP] = {}  # the oldest first
        self._known: Container[IP] = ()
        self._may_be_peer: Callable[[IP], bool] = _nobody
        self._contend: Callable[[Candidate], Deferred[Candidate]] | None = None
        self._contending: dict[Candidate, Deferred[Candidate]] = {}
        self._stopped = False

    def buildProtocol(self, addr: IAddress | None) -> Candidate | None:
        """See :class:`IProtocolFactory`: None for an unwanted connection."""
        if self._stopped or not isinstance(addr, (IPv4Address, IPv6Address)):
            return None
        context, address = self._context, endpoint_address(addr.host, addr.port)
        ip = address.ip
        if not space_of(ip) & context.settings.spaces:
            context.trace.rejected(address)
            return None
        trace = context.trace.way("inbound", address)
        candidate = context.new_candidate(trace, held=context.role is Role.ACCEPTOR)
        self._make_room(ip)
        self._visitors[candidate] = ip
        candidate.closed.addCallback(lambda _: self._gone(candidate))
        if self._contend is not None:
            self._welcome(candidate, ip, self._contend)
        return candidate

    def begin(
        self,
        known: Container[IP],
        contend: Callable[[Candidate], Deferred[Candidate]],
        may_be_peer: Callable[[IP], bool],
    ) -> None:
        """
        The server has answered: start with the held connections, and accept others.

        :param known: IP addresses of the peer.
        :param contend: does the handshake with a candidate, up to the choice.
        :param may_be_peer: whether the peer may connect from another address.
        """
        self._known = known
        self._may_be_peer = may_be_peer
        self._contend = contend
        self.first = Deferred(lambda _: self.stop())
        for candidate, ip in list(self._visitors.items()):
            self._welcome(candidate, ip, contend)

    def _welcome(
        self, candidate: Candidate, ip: IP, contend: Callable[[Candidate], Deferred[Candidate]]
    ) -> None:
        if ip not in self._known and not self._may_be_peer(ip):
            return  # held: a host that is refused would retry, and learn that the port is in use
        contending = self._contending[candidate] = contend(candidate)
        contending.addCallbacks(self._ready, lambda _: self._forget(candidate))
        candidate.begin()

    def _ready(self, candidate: Candidate) -> None:
        if not self._stopped:
            self._stopped = True
            self.first.callback(candidate)

    def _forget(self, candidate: Candidate) -> None:
        self._contending.pop(candidate, None)

    def _gone(self, candidate: Candidate) -> None:
        self._visitors.pop(candidate, None)
        if candidate.failure is not None:  # before the answer, no other code reports it
            candidate.trace.lost(candidate.failure)

    def _make_room(self, ip: IP) -> None:
        known = self._known
        same = [
            each
            for each, other in self._visitors.items()
            if (other == ip if ip in known else other not in known)
        ]
        if len(same) >= self.limit:
            oldest = same[0]
            del self._visitors[oldest]
            oldest.close(Failure(ConnectionLost("it was replaced by newer connections")))

    def stop(self) -> None:
        """Accept no more connections. :attr:`first` does not fire after this."""
        self._stopped = True
        self._contend, self._may_be_peer = None, _nobody
        for contending in list(self._contending.values()):
            contending.cancel()
        self._contending.clear()
