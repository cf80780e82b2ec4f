"""
The choice of the winner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock, fail
from twisted.internet.error import ConnectionLost

from rdv import _knobs as knobs
from rdv.client.candidates.acknowledgement import pauses
from rdv.client.candidates.candidate import Candidate
from rdv.client.race.joining import Stream, join
from rdv.client.trace import What
from rdv.errors import NoConnection
from rdv.wire import Role

__all__ = ["Choice", "Chooser", "first", "relay_penalty"]

T = TypeVar("T")

#: Seconds: more than the round trip of a LAN, less than a person or a protocol notices.
_DETOUR_PATIENCE = 0.005

#: Seconds for the CONFIRM on a suspect connection to be acknowledged: two retransmissions.
_ACKNOWLEDGED_WITHIN = 1.5

#: Returns, for a ready candidate of a dialer, how many seconds to wait for a better one. The
#: candidate is then used: 0 for immediately, ``math.inf`` for never.
Chooser: TypeAlias = Callable[[Candidate], float]


def relay_penalty(seconds: float) -> Chooser:
    """
    The default rule: the first direct candidate, or the relay if there is none ``seconds`` after
    the relay was ready, or sooner if none is expected that late (:mod:`rdv.client.race.horizon`). A
    path through a NAT that both peers are behind gives the path within it a moment.

    :raises TypeError: when ``seconds`` is no number.
    :raises ValueError: when it is negative.
    """
    knobs.seconds("penalty", seconds)

    def patience(candidate: Candidate) -> float:
        if candidate.is_relay:
            return min(seconds, candidate.horizon)
        return _DETOUR_PATIENCE if candidate.detour else 0.0

    return patience


class Choice:
    """
    The choice among the candidates of one attempt. Only one candidate at a time is in the process
    of being chosen. The chosen one is the only one, unless its stream may move: other candidates
    then join it.

    :param turn: the lock of the attempts for one connection. The attempt that chooses takes it, and
        keeps it when it has chosen.
    """

    def __init__(self, turn: DeferredLock) -> None:
        self._lock = DeferredLock()
        self._turn = turn
        self._stream: Stream | None = None
        self._moved: Callable[[Candidate], object] = lambda candidate: None

    async def take(self, candidate: Candidate) -> Candidate:
        """
        Choose a ready candidate, or have it join the existing stream, as soon as no other one is
        being chosen. The CONFIRM on a dialer's suspect candidate must be acknowledged.

        :raises ConnectionLost: when the candidate turns out to be unusable; it is then closed, and
            the next one may try.
        """
        # A dialer offers one candidate at a time; an acceptor accepts all that the dialer offers.
        alone = candidate.role is Role.DIALER or self._stream is None
        if alone:
            await self._lock.acquire()
        try:
            if self._stream is None:
                await self._choose(candidate)
            else:
                await join(candidate, self._stream, self._moved)
        except CancelledError:  # the race is over: nothing else may be chosen
            candidate.close()
            raise
        except BaseException:
            if alone:
                self._lock.release()
            candidate.close()
            raise
        return candidate

    async def _choose(self, candidate: Candidate) -> None:
        if candidate.role is Role.ACCEPTOR:
            await candidate.choose()
        else:
            await self._turn.acquire()
            try:
                await candidate.choose()
                if candidate.suspect:
                    await _acknowledged(candidate)
            except BaseException:
                self._turn.release()
                raise
        candidate.trace.won()

    def move(self, stream: Stream, role: Role, moved: Callable[[Candidate], object]) -> None:
        """
        From now on, ready candidates join the stream of the chosen one. Candidates of an acceptor
        that were confirmed before, and wait, begin another stream, and never get a turn.

        :param moved: called with a candidate that has taken over.
        """
        self._stream, self._moved = stream, moved
        if role is Role.DIALER:
            self._lock.release()


async def _acknowledged(candidate: Candidate) -> None:
    end = candidate.clock.seconds() + _ACKNOWLEDGED_WITHIN
    for pause in pauses():
        if candidate.answered() is not False:
            break
        left = end - candidate.clock.seconds()
        if left <= 0:
            raise ConnectionLost("the peer does not receive the data")
        await candidate.stays(min(pause, left))
    candidate.trace(What.ACKNOWLEDGED)


def first(
    contenders: Sequence[Deferred[T]], goes_on: Callable[[T], bool] = lambda winner: False
) -> Deferred[T]:
    """
    The first success among ``contenders``; the others are then cancelled.

    ``DeferredList`` alone does not cancel losers, succeeds when all fail, and never fires when
    the list is empty. Results and errors of the contenders are consumed.

    :param goes_on: whether this result leaves the others running.
    :return: errbacks with :class:`NoConnection` when all have failed. Cancelling it cancels them.
    """
    if not contenders:
        return fail(NoConnection("there is no candidate"))

    def cancel(winner: Deferred[T]) -> None:
        winner.errback(CancelledError())
        race.cancel()

    winner: Deferred[T] = Deferred(cancel)
    race = DeferredList(contenders, fireOnOneCallback=True, consumeErrors=True)
    for contender in contenders:
        contender.addCallback(lambda _: None)  # or its result keeps the winner alive

    def decided(result: object) -> None:
        # (value, index) of a success; else a list of failures
        if not isinstance(result, tuple) or winner.called or not goes_on(result[0]):
            for contender in contenders:
                contender.cancel()
        if winner.called:  # cancelled
            return
        if isinstance(result, tuple):
            winner.callback(result[0])
        else:
            winner.errback(NoConnection("there are no candidates left"))

    race.addCallback(decided)
    return winner
