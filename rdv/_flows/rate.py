"""
So many bytes a second.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

__all__ = ["RateLimit"]

#: Seconds' worth of bytes that may come at once before there has to be a pause.
_BURST = 0.1


class RateLimit:
    """
    How long to pause after each piece, so that no more than ``rate`` bytes a second come on
    average. Time in which less comes cannot be saved up beyond a tenth of a second.

    :param clock: tells the time, and may be asked to call later.
    :param rate: bytes a second; more than 0.
    """

    __slots__ = ("_paid", "_rate", "clock")

    def __init__(self, clock: IReactorTime, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"not a rate: {rate}")
        self.clock = clock
        self._rate = rate
        self._paid = 0.0

    def pause(self, size: int) -> float:
        """
        So many bytes have come.

        :return: seconds in which no more may come.
        """
        now = self.clock.seconds()
        self._paid = max(self._paid, now) + size / self._rate
        return max(0.0, self._paid - now - _BURST)
