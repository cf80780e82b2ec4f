"""
Keeps a server working when descriptors run out: it drops connections that are not clients, refuses
clients, and accepts more slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.tcp import Port
from twisted.logger import Logger

from rdv._system.descriptors import first_reserved, limit, lowest_free, reserve
from rdv._system.sockets import socket_of
from rdv.server.logs.complaint import Complaint
from rdv.server.meeting.lobby import Lobby, Member

__all__ = ["PAUSE", "AcceptThrottle", "DescriptorBudget", "is_full"]

log = Logger()

M = TypeVar("M", bound=Member)

#: Seconds for which the limit of this process is remembered.
_LIMIT_STANDS = 1.0
#: Seconds between checks of whether a paused port may continue.
PAUSE = 0.02


class DescriptorBudget:
    """
    Keeps some descriptors free, so that the server can go on serving its current clients, and can
    tell others that it is full. The limit is that of the process, including all other users.

    :ivar most_waiting: how many clients could wait at the last check: three quarters of the
        descriptors for clients, so that pairs and requests find room.
    :ivar make_room: drops connections that are not clients, if possible, and calls
        :meth:`will_close`.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._complaint = Complaint(clock, _complain)
        self._first = 0
        self._first_until = -math.inf
        self.most_waiting = math.inf
        self.make_room: Callable[[], object] = lambda: None
        self._next_try = -math.inf
        self._closing = 0

    def has_room(self, transport: object, client: M, lobby: Lobby[M]) -> bool:
        """Whether ``client``, on ``transport``, may wait in the lobby, or meet its peer there."""
        may_wait = lobby.knows(client.token) or self.may_wait(len(lobby))
        if not may_wait and lobby.yielding(client.network) is None:
            return False
        return self.has_place(transport, lobby.partner(client) is not None)

    def has_place(self, transport: object, expected: bool) -> bool:
        """
        Whether the client on ``transport`` may stay. If not, the operator is notified.

        :param expected: whether its peer is waiting. The two will often find a direct path, which
            frees two descriptors, while in a server full of waiting clients no pair would ever
            meet. Such clients therefore get a quarter of the reserve. A client that connected a
            moment too early, and would find room now, or as soon as the connections being closed
            are closed, may also keep a descriptor from the second or third quarter.
        """
        fits = self.fits(transport, expected)
        if not fits and self._clock.seconds() >= self._next_try:
            # There may have been no check since the last descriptors were used.
            self._next_try = self._clock.seconds() + PAUSE
            self.make_room()
            fits = self.fits(transport, expected)
        if not fits:
            self._complaint.tell("refusing clients")
        return fits

    def fits(self, transport: object, expected: bool) -> bool:
        """Like :meth:`has_place`, but only checks."""
        sock = socket_of(transport)
        number = -1 if sock is None else sock.fileno()
        first = self._first_reserved()
        if number < first or (expected and number < first + reserve() // 4):
            return True
        # It may have connected before others were closed, or these may still be closing.
        is_near = number < first + reserve() * 3 // 4
        return is_near and lowest_free(number) - self._closing < first

    def will_close(self, number: int) -> None:
        """
        This many connections have been dropped. Their descriptors are free after one more turn of
        the reactor; clients that are checked until then are not refused because of them.
        """
        self._closing += number
        self._clock.callLater(0, self._clock.callLater, 0, self._have_closed, number)

    def _have_closed(self, number: int) -> None:
        self._closing -= number

    def may_wait(self, waiting: int) -> bool:
        """
        Whether a client whose peer has not arrived may wait beside this many others, without any of
        them making room.
        """
        fits = self.fit_to_wait(waiting)
        if not fits:
            self._complaint.tell("refusing clients")
        return fits

    def fit_to_wait(self, waiting: int) -> bool:
        """Like :meth:`may_wait`, but only checks."""
        self._first_reserved()
        return waiting < self.most_waiting

    def _first_reserved(self) -> int:
        now = self._clock.seconds()
        if now >= self._first_until:
            self._first, self._first_until = first_reserved(), now + _LIMIT_STANDS
            self.most_waiting = self._first * 3 // 4
        return self._first


class AcceptThrottle:
    """
    Leaves connections in the kernel's queue as long as there is no descriptor for them.

    The reserve has four parts. The first is for peers of waiting clients, the second for clients
    that are about to be refused. When that one is in use, the server stops accepting until some of
    these clients have gone. The third is for clients that connect before this is noticed: a port
    accepts many in one turn of the reactor, without a check for each. The fourth is not used. A
    client that has a descriptor from the second or third part, and finds room by the time of its
    request, keeps it.

    Before the reserve is touched, connections that are not clients are dropped: as long as there
    are any, clients find room.

    :param shed: drops up to this many of them; returns how many were dropped.
    """

    def __init__(self, clock: IReactorTime, shed: Callable[[int], int]) -> None:
        self._clock = clock
        self._shed = shed
        self._shedding = Complaint(clock, _complain)
        self._complaint = Complaint(clock, _complain)
        self._ports: list[Port] = []
        self._call: IDelayedCall | None = None
        self._until_look = 0  # connections that may be accepted before the next check

    def watch(self, ports: Iterable[IListeningPort]) -> None:
        """Throttle these ports from now on."""
        self._ports = [port for port in ports if isinstance(port, Port)]
        if self._ports:
            self._look()

    def stop(self) -> None:
        """The ports are closed."""
        self._ports = []
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def accepted(self) -> None:
        """A port has accepted a connection."""
        if not self._ports:
            return
        self._until_look -= 1
        if self._until_look < 0:
            free = self._lowest_free()
            is_scarce = free > first_reserved()
            self._until_look = 0 if is_scarce else _between_looks()
            self._make_room(free)
            if self._call is None and (is_scarce or self._is_fast()):
                # Called when the port's turn is over. Pausing ensures that there is no other turn
                # before that, which is possible with a reactor that handles events before calls
                # (asyncio's).
                for port in self._ports:
                    port.pauseProducing()
                self._call = self._clock.callLater(0, self._look)

    def make_room(self) -> None:
        """A client finds no descriptor."""
        if self._ports:
            self._make_room(self._lowest_free())

    def _make_room(self, free: int) -> None:
        missing = free - first_reserved() + reserve() // 2
        if missing > 0 and self._shed(missing + _between_looks()):
            self._shedding.tell("dropping connections without a request")

    def _lowest_free(self) -> int:
        return lowest_free(self._ports[0].fileno())

    def _is_fast(self) -> bool:
        most = self._most_at_once()
        return any(port.numberAccepts >= most for port in self._ports)

    def _most_at_once(self) -> int:
        return max(1, reserve() // 4 // len(self._ports))

    def _look(self) -> None:
        free, first = self._lowest_free(), first_reserved()
        full = is_full(free)
        if full:
            self._complaint.tell("not accepting connections for now")
            self._make_room(free)
        most = 1 if free > first else self._most_at_once()
        for port in self._ports:
            # Twisted raises this number as connections become more frequent.
            port.numberAccepts = min(port.numberAccepts, most)
            if full:
                port.pauseProducing()
            else:
                port.resumeProducing()
        self._call = self._clock.callLater(PAUSE, self._look) if full else None


def is_full(free: int) -> bool:
    """
    Whether no more connections should be accepted for now.

    :param free: the lowest free descriptor, or the one that was allocated last.
    """
    return free >= first_reserved() + reserve() // 2


def _between_looks() -> int:
    """How many connections may be accepted, while there is room, before the next check."""
    return max(0, reserve() // 8 - 1)


def _complain(effect: str) -> None:
    """Log this even if only failures are shown."""
    log.critical("too few descriptors, {effect}: {limit} open files", effect=effect, limit=limit())
