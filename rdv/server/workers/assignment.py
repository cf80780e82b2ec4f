"""
Determines which worker owns a token, and passes its clients there: one process must have both legs
of a pair, but any free process accepts their connections.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rdv._flows.joint import LegOwner
from rdv._transport.handover import can_migrate, migrate
from rdv._until import wait_until
from rdv.server.accounting.statistics import Statistics
from rdv.server.closing.legs import ClosingLegs
from rdv.server.descriptors.budget import DescriptorBudget
from rdv.server.descriptors.shedding import Holder
from rdv.server.leg import Leg
from rdv.server.limits.admission import Admission
from rdv.server.passing.mailbox import PATIENCE, Outbox
from rdv.server.passing.message import PassedClient
from rdv.server.passing.ways import Entrance, client_of
from rdv.server.refusals import BUSY, SHUTDOWN
from rdv.server.rendezvous import Rendezvous
from rdv.server.workers.bridge import Bridges
from rdv.wire import token_hint

__all__ = ["Assignment", "owner_of"]

log = Logger()


def owner_of(token: bytes, workers: int) -> int:
    """The index of the worker that owns ``token``: the same in every process."""
    return zlib.crc32(token) % workers


class Assignment(LegOwner[Leg]):
    """
    Replaces the rendezvous for the resource of one worker among several: clients whose tokens this
    worker owns go to the real rendezvous, and all others are passed on.

    It owns a leg only during that time, and is not notified of anything.

    :param index: the number of this worker.
    :param outboxes: the channels to the other workers, by their indexes.
    :ivar clock: the clock of the rendezvous.
    :ivar arrived: takes a client that another worker has passed on.
    :ivar bridges: connections that had to stay here.
    """

    def __init__(
        self, reactor: Any, rendezvous: Rendezvous, index: int, outboxes: Mapping[int, Outbox]
    ) -> None:
        self._reactor = reactor
        self._rendezvous = rendezvous
        self._index = index
        self._outboxes = outboxes
        for outbox in outboxes.values():
            outbox.refused = rendezvous.statistics.refused
        self._closing_legs = ClosingLegs(reactor, lambda: None)
        self._entrance = Entrance(reactor, rendezvous)
        self.arrived = self._entrance.arrived
        self.clock = rendezvous.clock
        self.bridges = Bridges(reactor)

    @property
    def admission(self) -> Admission:
        """See :class:`IRendezvous`."""
        return self._rendezvous.admission

    @property
    def budget(self) -> DescriptorBudget:
        """See :class:`IRendezvous`."""
        return self._rendezvous.budget

    @property
    def closing(self) -> bool:
        return self._rendezvous.closing

    @property
    def statistics(self) -> Statistics:
        return self._rendezvous.statistics

    def has_room(self, leg: Leg, transport: object) -> bool:
        """See :class:`IRendezvous`. A client whose socket is passed on uses no descriptor here."""
        is_passed_on = self._owner(leg) != self._index and can_migrate(transport)
        return is_passed_on or self._rendezvous.has_room(leg, transport)

    def holders(self) -> Iterable[Holder]:
        """See :class:`IRendezvous`."""
        return chain(self._closing_legs.holders(), self._rendezvous.holders())

    def is_full(self, transport: object) -> bool:
        """See :class:`IRendezvous`: other workers are assumed to have as much room as this one."""
        return self._rendezvous.is_full(transport)

    def _owner(self, leg: Leg) -> int:
        return owner_of(leg.token, len(self._outboxes) + 1)

    def enter(self, leg: Leg, early: bytes = b"") -> None:
        owner = self._owner(leg)
        # The owner is not needed to refuse a client that was too early, or to send it to the next
        # generation.
        if owner == self._index or early or self._rendezvous.successor is not None:
            leg.owner = self._rendezvous
            self._rendezvous.enter(leg, early)
        else:
            self._pass_on(leg, owner)

    def inherited(self, client: PassedClient, sock: socket.socket) -> None:
        """Take a client that the previous generation has handed over to all workers of this one."""
        owner = owner_of(client.token, len(self._outboxes) + 1)
        if owner == self._index:
            self.arrived(client, sock)
        else:
            self._outboxes[owner].send(client, sock)

    def refuse_waiting(self) -> None:
        """Refuse the clients that are waiting to be passed on: no worker takes them."""
        for outbox in self._outboxes.values():
            outbox.refuse_waiting(*SHUTDOWN)

    def emptied(self) -> Deferred[None]:
        """Fires when no client is waiting to be passed on: all have arrived, or were refused."""
        outboxes = self._outboxes.values()
        return wait_until(self._reactor, lambda: not any(map(len, outboxes)), 2 * PATIENCE)

    def abort(self) -> None:
        """Cut all connections that do not belong to the rendezvous."""
        self.bridges.abort()
        self._closing_legs.abort()
        self._entrance.abort()

    def _pass_on(self, leg: Leg, owner: int) -> None:
        log.debug(
            "passed on: {role} {token} to worker {owner}",
            role=leg.role.name.lower(),
            token=token_hint(leg.token),
            owner=owner,
        )
        client = client_of(leg)
        sock = migrate(leg.transport)
        if sock is not None:
            del leg.transport, leg.owner  # break reference cycles
        else:
            try:
                sock = self.bridges.join(leg)
            except OSError as error:
                log.error("no connection on loopback: {reason}", reason=error.strerror)
                self.statistics.refused(*BUSY)
                self._closing_legs.refuse(leg, *BUSY)
                return
        leg.lease.end()
        self._outboxes[owner].send(client, sock)
