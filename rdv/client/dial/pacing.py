"""
The pauses between the dials of an address that refuses.
"""

from __future__ import annotations

from random import Random

from rdv.client.dial.targets import OFTEN

__all__ = ["Pacing"]

#: The number of bursts, the redials in each, and the seconds from one to the next.
_BURSTS, _BURST, _EVERY = 3, 100, 0.25
#: Jitter, because two sides that are refused at the same pace could miss each other forever. If a
#: refusal takes less than ``_BELOW_TIMERS`` seconds, the resolution of timers, up to ``_TURNS``
#: turns of the reactor pass before the next dial. Otherwise, every ``_IN_STEP`` dials, there is a
#: pause of up to a quarter of the round trip.
_BELOW_TIMERS, _TURNS, _IN_STEP = 0.002, 4, 8
#: After a burst, pauses grow by this factor, from the second number to the third, in seconds.
_GROWTH, _FIRST_PAUSE, _LONGEST_PAUSE = 1.25, 0.005, 0.5


class Pacing:
    """
    The pauses between the dials of one address.

    :param random: for the jitter.
    :param most: the maximum total number of redials.
    :ivar fast: whether the next redial is part of a burst.
    """

    def __init__(self, random: Random, most: int = OFTEN) -> None:
        self._random = random
        self.most = self._left = most
        self._burst = 0
        self._left_in_burst = _BURST
        self._pause = _FIRST_PAUSE
        self.fast = True

    def next_pause(self, took: float, elapsed: float) -> float | None:
        """
        :param took: seconds from the last dial to its refusal.
        :param elapsed: seconds since the first dial.
        :return: seconds to wait now; None when no redial is left.
        """
        if not self._left:
            return None
        self._left -= 1
        burst = min(int(elapsed / _EVERY), _BURSTS - 1)
        if burst > self._burst:
            self._burst = burst
            self._left_in_burst = _BURST
        self.fast = self._left_in_burst > 0
        if self.fast:
            self._left_in_burst -= 1
            if took < _BELOW_TIMERS or self._left_in_burst % _IN_STEP:
                return 0.0
            return self._random.uniform(0.0, 0.25 * took)
        pause = self._random.uniform(0.5, 1.5) * self._pause
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
        if burst + 1 < _BURSTS:
            pause = min(pause, (burst + 1) * _EVERY - elapsed)
        return pause

    def turns(self, took: float) -> int:
        """
        :param took: seconds from the last dial to its refusal.
        :return: how many turns of the reactor to let pass now.
        """
        return self._random.randrange(_TURNS + 1) if took < _BELOW_TIMERS else 0
