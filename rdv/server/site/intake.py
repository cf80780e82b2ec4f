"""
How fast ports may accept connections.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.tcp import Port

from rdv._system.descriptors import first_reserved, lowest_free, reserve
from rdv.server.room import Complaint

__all__ = ["Intake"]

#: Seconds until the next look at whether a port may go on.
_PAUSE = 0.02


class Intake:
    """
    Leaves connections to the kernel's queue for which there is no descriptor yet.

    What is kept free has four parts. The first is for partners of those who wait, the second for
    clients that are about to be refused. When that is in use nobody is accepted until some have
    gone. The third is for those who come before this is noticed, as a port accepts many in one turn
    of the reactor. The fourth is nobody's.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._complaint = Complaint(clock, "accepting nobody for now")
        self._ports: list[Port] = []
        self._call: IDelayedCall | None = None

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

    def accepted(self) -> bool:
        """
        A port has accepted a connection.

        :return: whether descriptors are scarce.
        """
        if not self._ports:
            return False
        is_scarce = self._lowest_free() > first_reserved()
        if self._call is None and (is_scarce or self._is_fast()):
            self._call = self._clock.callLater(0, self._look)  # when the port is done with its turn
        return is_scarce

    def _lowest_free(self) -> int:
        return lowest_free(self._ports[0].fileno())

    def _is_fast(self) -> bool:
        most = self._most_at_once()
        return any(port.numberAccepts >= most for port in self._ports)

    def _most_at_once(self) -> int:
        return max(1, reserve() // 4 // len(self._ports))

    def _look(self) -> None:
        free, first = self._lowest_free(), first_reserved()
        is_full = free >= first + reserve() // 2
        if is_full:
            self._complaint.tell()
        most = 1 if free > first else self._most_at_once()
        for port in self._ports:
            # A port would take more each time, the more there are.
            port.numberAccepts = min(port.numberAccepts, most)
            if is_full:
                port.pauseProducing()
            else:
                port.resumeProducing()
        self._call = self._clock.callLater(_PAUSE, self._look) if is_full else None
