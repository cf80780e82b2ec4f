"""
A pair on which the ``serve`` hook has not decided yet.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv import _knobs as knobs
from rdv._awaiting import deferred_of
from rdv._deadlines import Deadlines
from rdv.server.leg import Leg
from rdv.server.meeting.interlude import Interlude
from rdv.server.refusals import UNDECIDED_PAIR
from rdv.server.relay.outcome import EndReason
from rdv.server.relay.pair import Pair

__all__ = ["Decisions", "ServeHook"]

log = Logger()

#: Decides about a pair before its clients are answered; see :class:`rdv.server.relay.pair.Pair`. It
#: may await Deferreds, and also asyncio's awaitables under Twisted's asyncio reactor.
ServeHook: TypeAlias = Callable[[Pair], Awaitable[object] | None]


def _ask(serve: ServeHook, pair: Pair) -> Deferred[object]:
    """Call the hook, and wait for its result, which may be any kind of awaitable."""
    try:
        answer: object = serve(pair)
    except Exception:
        return fail()
    return deferred_of(answer) if inspect.isawaitable(answer) else succeed(answer)


def _check(pair: Pair) -> None:
    """
    Check whether the pair can be joined with the values that the hook has set.

    :raises TypeError: when the hook has set a value of the wrong type; the message names it.
    :raises ValueError: when a value is out of range; likewise.
    """
    knobs.seconds("idle_timeout", pair.idle_timeout)
    knobs.number("rate_limit", pair.rate_limit, "bytes a second")
    knobs.number("quota", pair.quota, "bytes")
    knobs.function("tap_dialer", pair.tap_dialer)
    knobs.function("tap_acceptor", pair.tap_acceptor)


class Decision(Interlude):
    """
    Owns both legs while the hook decides. The clients have not been answered yet; if one of them
    sends data or leaves, the decision ends.

    :param broken_off: called with this and the leg in question; gives both legs another owner.
    :param began: the current time.
    """

    def __init__(
        self, pair: Pair, broken_off: Callable[[Decision, Leg], object], began: float
    ) -> None:
        super().__init__(pair)
        self.began = began
        self.cancelled = False
        self._broken_off = broken_off
        self._hook: Deferred[object] | None = None

    def ask(self, serve: ServeHook, decided: Callable[[Decision, object], object]) -> None:
        """
        Call the hook.

        :param decided: called with this and the result of the hook, which may be a Failure.
        """
        self._hook = _ask(serve, self.pair).addCallback(lambda _: _check(self.pair))
        self._hook.addBoth(partial(decided, self))

    def cancel(self) -> None:
        """Cancel the hook. A later result is ignored."""
        self.cancelled = True
        if self._hook is not None:
            self._hook.cancel()

    def interrupt(self, leg: Leg, *, spoke: bool) -> None:
        self.cancel()
        self._broken_off(self, leg)


class Decisions:
    """
    The open decisions.

    :param timeout: time limit of a decision in seconds; 0 for no limit.
    :param made: called with a pair that the hook has accepted or rejected. A hook that fails, or
        does not decide in time, has rejected it.
    :param broken_off: called with a pair and its leg that has sent data or left; gives both legs
        another owner.
    :param took: called with the duration of each completed decision in seconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        serve: ServeHook,
        made: Callable[[Pair], object],
        broken_off: Callable[[Pair, Leg], object],
        took: Callable[[float], object],
    ) -> None:
        self._clock = clock
        self._took = took
        self._serve = serve
        self._made = made
        self._broken_off = broken_off
        self._open: Deadlines[Decision] = Deadlines(clock, timeout, self._expire)

    def __len__(self) -> int:
        return len(self._open)

    def retime(self, timeout: float) -> None:
        """Change the timeout, also for open decisions."""
        self._open.retime(timeout)

    def ask(self, pair: Pair) -> None:
        """Call the hook, and start its time limit."""
        decision = Decision(pair, self._break_off, self._clock.seconds())
        self._open.add(decision)
        decision.ask(self._serve, self._decided)

    def cancel(self) -> list[Pair]:
        """
        Cancel the hook for all pairs.

        :return: the pairs.
        """
        decisions = list(self._open)
        for decision in decisions:
            decision.cancel()
            self._open.discard(decision)
        return [decision.pair for decision in decisions]

    def _break_off(self, decision: Decision, leg: Leg) -> None:
        self._open.discard(decision)
        self._broken_off(decision.pair, leg)

    def _decided(self, decision: Decision, result: object) -> None:
        self._open.discard(decision)
        if decision.cancelled:
            return
        if isinstance(result, Failure):
            log.failure("the serve hook failed", failure=result)
            decision.pair.explain(EndReason.HOOK_FAILED)
            decision.pair.reject(*UNDECIDED_PAIR)
        self._end(decision)

    def _expire(self, decision: Decision) -> None:
        log.error("the serve hook did not decide in time")
        decision.cancel()
        decision.pair.explain(EndReason.HOOK_FAILED)
        decision.pair.reject(*UNDECIDED_PAIR)
        self._end(decision)

    def _end(self, decision: Decision) -> None:
        self._took(self._clock.seconds() - decision.began)
        self._made(decision.pair)
