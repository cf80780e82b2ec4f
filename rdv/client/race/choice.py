"""
Who wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock, fail
from twisted.internet.error import ConnectionLost

from rdv import _knobs as knobs
from rdv.client.acknowledgement import pauses
from rdv.client.candidate import Candidate
from rdv.client.trace import What
from rdv.errors import NoConnection
from rdv.wire import Role

__all__ = ["Chooser", "choose", "first", "relay_penalty"]

T = TypeVar("T")

#: Seconds: more than the round trip of a LAN, less than a person or a protocol notices.
_DETOUR_PATIENCE = 0.005

#: Seconds for the CONFIRM on a suspect connection to be acknowledged: two retransmissions.
_ACKNOWLEDGED_WITHIN = 1.5

#: Says for a dialer's candidate that is ready how many seconds a better one may still take to come.
#: It is used when they are over: 0 for at once, ``math.inf`` for never.
Chooser: TypeAlias = Callable[[Candidate], float]


def relay_penalty(seconds: float) -> Chooser:
    """
    The default rule: the first direct candidate, or the relay when none has come ``seconds`` after
    it was ready. A path round through a NAT that both peers are behind gives the one within it a
    moment.

    :raises TypeError: when ``seconds`` is no number.
    :raises ValueError: when it is negative.
    """
    knobs.seconds("penalty", seconds)

    def patience(candidate: Candidate) -> float:
        if candidate.is_relay:
            return seconds
        return _DETOUR_PATIENCE if candidate.detour else 0.0

    return patience


async def choose(candidate: Candidate, choice: DeferredLock) -> Candidate:
    """
    Choose a candidate that is ready, as soon as no other one is being chosen. A dialer's that is
    suspect has to have its CONFIRM acknowledged.

    :param choice: held by the one that is being chosen, and to the end by the one that was.
    :raises ConnectionLost: when it was none after all; it is closed then, and the next may try.
    """
    await choice.acquire()
    try:
        await candidate.choose()
        if candidate.suspect and candidate.role is Role.DIALER:
            await _acknowledged(candidate)
    except CancelledError:  # the race is over: nobody else is to be chosen
        candidate.close()
        raise
    except BaseException:
        choice.release()
        candidate.close()
        raise
    candidate.trace.won()
    return candidate


async def _acknowledged(candidate: Candidate) -> None:
    end = candidate.clock.seconds() + _ACKNOWLEDGED_WITHIN
    for pause in pauses():
        if candidate.answered() is not False:
            break
        left = end - candidate.clock.seconds()
        if left <= 0:
            raise ConnectionLost("what we send does not arrive")
        await candidate.stays(min(pause, left))
    candidate.trace(What.ACKNOWLEDGED)


def first(contenders: Sequence[Deferred[T]]) -> Deferred[T]:
    """
    The first success among ``contenders``; the others are cancelled then.

    ``DeferredList`` alone does not cancel losers, succeeds when all fail, and never fires when
    there is none.

    :return: errbacks with :class:`NoConnection` when all have failed. Cancelling it cancels them.
    """
    if not contenders:
        return fail(NoConnection("there is no candidate"))

    def cancel(winner: Deferred[T]) -> None:
        winner.errback(CancelledError())
        race.cancel()

    winner: Deferred[T] = Deferred(cancel)
    race = DeferredList(contenders, fireOnOneCallback=True, consumeErrors=True)

    def decided(result: object) -> None:
        for contender in contenders:
            contender.cancel()
        if winner.called:  # cancelled
            return
        if isinstance(result, tuple):  # (value, index) of a success; else a list of failures
            winner.callback(result[0])
        else:
            winner.errback(NoConnection("there is no candidate any more"))

    race.addCallback(decided)
    return winner
