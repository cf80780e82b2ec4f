"""
Converts a leg to a message with a descriptor, and back to a leg in another process.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rdv._flows.kernel.epoll import IReactor
from rdv._transport.handover import adopt, migrate
from rdv._until import wait_until
from rdv.addresses import endpoint_text, host_of, network_text
from rdv.server.closing.legs import ClosingLegs
from rdv.server.leg import Leg
from rdv.server.passing.mailbox import Outbox
from rdv.server.passing.message import PassedClient, refuse
from rdv.server.refusals import BUSY, SHUTDOWN
from rdv.server.rendezvous import Rendezvous
from rdv.wire import Offer, token_hint

__all__ = ["Entrance", "Exit", "client_of"]

log = Logger()

#: The maximum number of clients that wait to be sent, and for how many seconds: a whole lobby is
#: sent at once.
_CROWD, _PATIENCE = 1 << 20, 60.0


def client_of(leg: Leg, waited: float = 0.0) -> PassedClient:
    """
    The data of a leg for another process.

    :param waited: how many seconds it has waited in a lobby.
    """
    observed = leg.observed or _place_of(leg)
    return PassedClient(leg.role, leg.token, leg.addresses, observed, leg.user, leg.id, waited)


def _place_of(leg: Leg) -> str:
    """An address with port 0 for the limits of a client without an observed address; or empty."""
    network = leg.lease.place.text
    return endpoint_text(network_text(network).removesuffix("/64"), 0) if network else ""


class Entrance:
    """Takes clients that another process has passed on to a rendezvous of this process."""

    def __init__(self, reactor: Any, rendezvous: Rendezvous) -> None:
        self._reactor = reactor
        self._rendezvous = rendezvous
        self._closing_legs = ClosingLegs(reactor, lambda: None)

    def arrived(self, client: PassedClient, sock: socket.socket) -> None:
        """Let a client enter, or refuse it."""
        offer = Offer(client.role, client.token, client.addresses)
        reached = "" if client.observed.endswith(":0") else client.observed
        leg = Leg(offer, reached, self._rendezvous, client.user)
        leg.rename(client.id)
        with sock:
            try:
                adopt(self._reactor, sock, leg)
            except OSError as error:
                if error.errno != errno.ENOTCONN:  # a client that has gone is not refused
                    self._rendezvous.statistics.refused(*BUSY)
                    refuse(sock, *BUSY)
                return
        leg.lease = self._rendezvous.admission.lease(host_of(client.observed))
        if self._rendezvous.has_room(leg, leg.transport):
            self._rendezvous.enter(leg, waited=client.waited)
        else:
            leg.lease.misses(leg.token)
            self._rendezvous.statistics.refused(*BUSY)
            self._closing_legs.refuse(leg, *BUSY)

    def abort(self) -> None:
        """Cut the clients that are being refused."""
        self._closing_legs.abort()


class Exit:
    """
    Sends clients to the next generation of the server.

    :param sock: the sending end, which is not closed.
    """

    def __init__(self, reactor: IReactor, rendezvous: Rendezvous, sock: socket.socket) -> None:
        self._clock = rendezvous.clock
        self._rendezvous = rendezvous
        self._outbox = Outbox(reactor, sock, _CROWD, _PATIENCE)

    def send(self, leg: Leg) -> bool:
        """
        Send a client.

        :return: False if this is impossible, because its connection is more than a socket.
        """
        # It has arrived earlier, if only by a moment: a client that arrived elsewhere since is
        # newer.
        client = client_of(leg, max(0.001, self._clock.seconds() - leg.arrived))
        sock = migrate(leg.transport)
        if sock is None:
            return False
        log.debug(
            "handed over: {role} {token}", role=leg.role.name.lower(), token=token_hint(leg.token)
        )
        leg.lease.end()
        del leg.transport, leg.owner  # break reference cycles
        self._outbox.send(client, sock)
        return True

    def emptied(self) -> Deferred[None]:
        """Fires when all clients were sent or refused; soon after the rendezvous is closed."""
        return wait_until(self._clock, self._is_empty, 2 * _PATIENCE)

    def _is_empty(self) -> bool:
        if self._rendezvous.closing:
            self._outbox.refuse_waiting(*SHUTDOWN)
        return not len(self._outbox)
