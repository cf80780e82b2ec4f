"""
Shares a rate fairly among many pairs.

Each pair has a share, and each piece advances the share's *mark* by its bytes. When more data
arrives than the rate allows, flows pause, and continue in the order of their marks: the one that
has moved least comes first (start-time fair queueing). Pairs that always have something to move
therefore get equal parts; a pair with less gets all of it and hardly waits, and the others use what
is left over. Nothing can be saved up: a pair that begins, or was silent, starts near the marks of
the pairs that are being served.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._flows.rate import BURST, piece_of

__all__ = ["Share", "SharedRate"]

#: The size of a piece in seconds' worth of bytes, which is also how often waiting flows are served;
#: and the shortest timer.
_STEP, _SHORTEST = 0.01, 0.001
#: How many pieces a share may lag behind those that are being served. A share that lags further,
#: because it was silent, does not get what it has missed.
_BEHIND = 4


class SharedRate:
    """:param rate: bytes a second, for all pairs together; more than 0."""

    def __init__(self, clock: IReactorTime, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"not a rate: {rate}")
        self._clock = clock
        self._rate = rate
        self.piece = piece_of(rate * _STEP)
        self._paid = 0.0
        self._mark = 0.0  # of the shares that are being served
        self._queue: list[tuple[float, int, _Turn]] = []
        self._numbers = count()
        self._waiting = 0
        self._call: IDelayedCall | None = None

    def use(self, rate: float) -> None:
        """Change the rate, also for flows that are waiting."""
        now = self._clock.seconds()
        self._paid = now + max(0.0, self._paid - now) * self._rate / rate
        self.piece = piece_of(rate * _STEP)
        self._rate = rate
        if self._call is not None:
            self._call.cancel()
            self._call_in(self._paid - now - BURST)

    def share(self) -> Share:
        """A new share."""
        return Share(self)

    def pay(self, share: Share, size: int) -> bool:
        """
        This many bytes were moved.

        :return: whether that was too early, or others are waiting, so that this share must wait.
        """
        now = self._clock.seconds()
        self._paid = max(self._paid, now) + size / self._rate
        # A share that was just served may lag until its next piece arrives, and must not lose that.
        start = max(self._mark - _BEHIND * self.piece, share.mark)
        share.mark = start + size
        if self._waiting or self._paid - now > BURST:
            return True
        self._mark = max(self._mark, start)
        return False

    def wait(self, turn: _Turn) -> None:
        """Let ``turn`` begin as soon as it is due."""
        self._waiting += 1
        heappush(self._queue, (turn.share.mark, next(self._numbers), turn))
        if self._call is None:
            self._call_in(self._paid - self._clock.seconds() - BURST)

    def leave(self) -> None:
        """Remove a waiting turn."""
        self._waiting -= 1
        if not self._waiting:
            self._queue.clear()
            if self._call is not None:
                self._call.cancel()
                self._call = None

    def _call_in(self, seconds: float) -> None:
        self._call = self._clock.callLater(max(seconds, _SHORTEST), self._serve)

    def _serve(self) -> None:
        self._call = None
        early = self._paid - self._clock.seconds() - BURST
        served, most = 0.0, min(-early, BURST / 2)  # includes what a late timer has missed
        while self._queue and served < most:
            mark, _, turn = heappop(self._queue)
            if turn.go_on is None:
                continue
            self._waiting -= 1
            self._mark = max(self._mark, mark)
            served += turn.used / self._rate
            turn.begin()
        if self._waiting and self._call is None:
            self._call_in(min(served, _STEP) if served else early)


class Share:
    """
    The share of one pair.

    :ivar mark: how far it has advanced.
    """

    __slots__ = ("_whole", "mark")

    def __init__(self, whole: SharedRate) -> None:
        self._whole = whole
        self.mark = 0.0

    def limit(self) -> _Turn:
        """A limit for one flow of the pair."""
        return _Turn(self._whole, self)


class _Turn:
    """
    A :class:`rdv._flows.rate.Limit`.

    :ivar used: bytes moved since its last turn; an estimate of what the next one will move.
    :ivar go_on: called when its turn comes; None when it does not wait.
    """

    __slots__ = ("_whole", "go_on", "share", "used")

    def __init__(self, whole: SharedRate, share: Share) -> None:
        self._whole = whole
        self.share = share
        self.used = 0
        self.go_on: Callable[[], object] | None = None

    @property
    def piece(self) -> int:
        """See :class:`Limit`: the rate may change."""
        return self._whole.piece

    def passed(self, size: int, go_on: Callable[[], object]) -> bool:
        self.used += size
        is_early = self._whole.pay(self.share, size)
        if self.go_on is not None:  # it is waiting already, and still had something to move
            return True
        # A flow with small pieces may move as much in a turn as one with a whole piece.
        if not is_early or self.used < self.piece:
            return False
        self.go_on = go_on
        self._whole.wait(self)
        return True

    def begin(self) -> None:
        """Its turn begins."""
        self.used = 0
        go_on, self.go_on = self.go_on, None
        if go_on is not None:
            go_on()

    def stop(self) -> None:
        if self.go_on is not None:
            self.go_on = None
            self._whole.leave()
