"""
Where a moment is on the axis of time.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Scale"]

#: A wait in the lobby that is so many times as long as all the rest gets this share of the axis.
_LONG, _LOBBY_SHARE = 3, 0.12
_STEPS = (1.0, 2.0, 5.0)


class Scale:
    """
    From times to places between 0 and 1.

    :param begin, end: the first and the last moment.
    :param lobby: from when to when there was nothing but waiting. It is drawn shorter than it was
        when it would squash the rest.
    """

    def __init__(self, begin: float, end: float, lobby: tuple[float, float] | None = None) -> None:
        self._begin = begin
        self._length = max(end - begin, 1e-6)
        self.cut = False
        self._lobby = (begin, begin)
        if lobby is not None and begin <= lobby[0] < lobby[1] < end:
            waited = lobby[1] - lobby[0]
            rest = self._length - waited
            shown = rest * _LOBBY_SHARE / (1 - _LOBBY_SHARE)
            if rest > 0 and waited > _LONG * rest:
                self.cut = True
                self._lobby = lobby
                self._shrink = shown / waited
                self._length = rest + shown

    def place(self, time: float) -> float:
        """Of a time; one before the beginning is at 0, one behind the end at 1."""
        passed = time - self._begin
        if self.cut:
            start, end = self._lobby
            inside = min(max(time, start), end) - start
            passed -= inside * (1 - self._shrink)
        return min(max(passed / self._length, 0.0), 1.0)

    def ticks(self, most: int) -> Iterator[tuple[float, float]]:
        """
        Round moments, at most so many.

        :return: for each its place, and seconds since the start or, where the axis is cut, since
            the end of the lobby.
        """
        origin = self._lobby[1] if self.cut else self._begin
        first = self.place(origin)
        span = self._length * (1 - first)
        step = _round_up(span / max(most, 1))
        number = 0
        while number <= most and number * step <= span * (1 + 1e-9):
            yield first + number * step / self._length, number * step
            number += 1


def _round_up(seconds: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    power = 1e-9
    while True:
        for step in _STEPS:
            if step * power >= seconds:
                return step * power
        power *= 10
