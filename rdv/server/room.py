"""
Whether there are descriptors for one more client.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rdv._system.descriptors import first_reserved, limit, reserve
from rdv._system.sockets import socket_of

__all__ = ["Complaint", "Room"]

log = Logger()

#: Seconds between two complaints.
_PAUSE = 60.0


class Complaint:
    """
    Tells the operator that descriptors run out, now and then, even where only failures are shown.

    :param effect: what comes of it.
    """

    def __init__(self, clock: IReactorTime, effect: str) -> None:
        self._clock = clock
        self._effect = effect
        self._told: float | None = None

    def tell(self) -> None:
        """It is so now."""
        now = self._clock.seconds()
        if self._told is None or now - self._told >= _PAUSE:
            self._told = now
            log.critical(
                "too few descriptors, {effect}: {limit} open files",
                effect=self._effect,
                limit=limit(),
            )


class Room:
    """
    Keeps some descriptors free, so that the server can go on for those it has, and can tell the
    others that it is full. The limit is that of the process, whoever has used it up.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._complaint = Complaint(clock, "refusing clients")

    def has_place(self, transport: object, expected: bool) -> bool:
        """
        Whether the client on ``transport`` may stay.

        :param expected: whether its partner waits. The two will often find a direct path, and then
            there are two descriptors more, while in a server that is full of those who wait nobody
            would ever meet. So they get a quarter of what is kept free.
        """
        sock = socket_of(transport)
        number = -1 if sock is None else sock.fileno()
        first = first_reserved()
        if number < first or (expected and number < first + reserve() // 4):
            return True
        self._complaint.tell()
        return False
