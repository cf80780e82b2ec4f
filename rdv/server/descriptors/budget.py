"""
What a server does when descriptors run out: it drops connections that are no clients, refuses
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

#: Seconds for which nobody changes the limit of this process.
_LIMIT_STANDS = 1.0
#: Seconds until the next look at whether a port may go on.
PAUSE = 0.02


class DescriptorBudget:
    """
    Keeps some descriptors free, so that the server can go on for those it has, and can tell the
    others that it is full. The limit is that of the process, whoever has used it up.

    :ivar most_waiting: how many could wait when that was last asked: three quarters of what clients
        have, so that pairs find room, and so do requests.
    :ivar make_room: drops connections that are no clients, if it can, and tells :meth:`will_close`.
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
        """Whether ``client``, on ``transport``, may wait in the lobby, or meet who waits there."""
        may_wait = lobby.knows(client.token) or self.may_wait(len(lobby))
        if not may_wait and lobby.yielding(client.network) is None:
            return False
        return self.has_place(transport, lobby.partner(client) is not None)

    def has_place(self, transport: object, expected: bool) -> bool:
        """
        Whether the client on ``transport`` may stay. If not, the operator is told.

        :param expected: whether its partner waits. The two will often find a direct path, and then
            there are two descriptors more, while in a server that is full of those who wait nobody
            would ever meet. So they get a quarter of what is kept free. Who came a moment too
            early, and would find room now, or when what is being closed has been, may have got one
            of the second and third quarters, too.
        """
        fits = self.fits(transport, expected)
        if not fits and self._clock.seconds() >= self._next_try:
            # Nobody may have looked since the last descriptors were taken.
            self._next_try = self._clock.seconds() + PAUSE
            self.make_room()
            fits = self.fits(transport, expected)
        if not fits:
            self._complaint.tell("refusing clients")
        return fits

    def fits(self, transport: object, expected: bool) -> bool:
        """The same, for who only wants to know."""
        sock = socket_of(transport)
        number = -1 if sock is None else sock.fileno()
        first = self._first_reserved()
        if number < first or (expected and number < first + reserve() // 4):
            return True
        # It may have come while others had still to be closed, or these may be under way.
        is_near = number < first + reserve() * 3 // 4
        return is_near and lowest_free(number) - self._closing < first

    def will_close(self, number: int) -> None:
        """
        So many connections have been dropped: their descriptors are free when the reactor has been
        round once more, and whoever is looked at until then need not suffer for it.
        """
        self._closing += number
        self._clock.callLater(0, self._clock.callLater, 0, self._have_closed, number)

    def _have_closed(self, number: int) -> None:
        self._closing -= number

    def may_wait(self, waiting: int) -> bool:
        """
        Whether somebody whose partner has not come may wait beside so many others, without any of
        them giving way.
        """
        fits = self.fit_to_wait(waiting)
        if not fits:
            self._complaint.tell("refusing clients")
        return fits

    def fit_to_wait(self, waiting: int) -> bool:
        """The same, for who only wants to know."""
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
    Leaves connections to the kernel's queue for which there is no descriptor yet.

    What is kept free has four parts. The first is for partners of those who wait, the second for
    clients that are about to be refused. When that is in use nobody is accepted until some have
    gone. The third is for those who come before this is noticed, as a port accepts many in one turn
    of the reactor, and is not looked at for each. The fourth is nobody's. Whoever has got one of
    the second or third, and finds room by the time of its request, keeps it.

    Before any of it is touched, connections are dropped that are no clients: as long as there are
    such, clients find room.

    :param shed: drops up to so many of those; returns how many there were.
    """

    def __init__(self, clock: IReactorTime, shed: Callable[[int], int]) -> None:
        self._clock = clock
        self._shed = shed
        self._shedding = Complaint(clock, _complain)
        self._complaint = Complaint(clock, _complain)
        self._ports: list[Port] = []
        self._call: IDelayedCall | None = None
        self._until_look = 0  # so many may still come

    def watch(self, ports: Iterable[IListeningPort]) -> None:
        """See to these ports from now on."""
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
                self._call = self._clock.callLater(0, self._look)  # when the port's turn is over

    def make_room(self) -> None:
        """Somebody finds none."""
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
            # A port would take more each time, the more there are.
            port.numberAccepts = min(port.numberAccepts, most)
            if full:
                port.pauseProducing()
            else:
                port.resumeProducing()
        self._call = self._clock.callLater(PAUSE, self._look) if full else None


def is_full(free: int) -> bool:
    """
    Whether nobody more is to be taken in for now.

    :param free: the lowest descriptor that is free, or the one that was taken last.
    """
    return free >= first_reserved() + reserve() // 2


def _between_looks() -> int:
    """So many may come, while there is room, before it is looked again how much there is."""
    return max(0, reserve() // 8 - 1)


def _complain(effect: str) -> None:
    """Also where only failures are shown."""
    log.critical("too few descriptors, {effect}: {limit} open files", effect=effect, limit=limit())
