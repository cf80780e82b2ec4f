"""
A pair about which the ``serve`` hook is still thinking.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from rdv import _knobs as knobs
from rdv._awaiting import deferred_of
from rdv.server.deadlines import Deadlines
from rdv.server.interlude import Interlude
from rdv.server.leg import Leg
from rdv.server.pair import Pair

__all__ = ["Decision", "Decisions", "ServeHook"]

#: Decides about a pair before it is told; see :class:`rdv.server.pair.Pair`. It may await
#: Deferreds, and under Twisted's asyncio reactor whatever asyncio has.
ServeHook: TypeAlias = Callable[[Pair], Awaitable[object] | None]


def _ask(serve: ServeHook, pair: Pair) -> Deferred[object]:
    """Call the hook, and wait for whatever kind of awaitable it returns."""
    try:
        answer: object = serve(pair)
    except Exception:
        return fail()
    return deferred_of(answer) if inspect.isawaitable(answer) else succeed(answer)


def _check(pair: Pair) -> None:
    """
    See whether it can be joined as the hook has left it.

    :raises TypeError: when the hook has set something of the wrong type; the text names it.
    :raises ValueError: when something is out of range; likewise.
    """
    knobs.seconds("idle_timeout", pair.idle_timeout)
    knobs.number("rate_limit", pair.rate_limit, "bytes a second")
    knobs.function("tap_dialer", pair.tap_dialer)
    knobs.function("tap_acceptor", pair.tap_acceptor)


class Decision(Interlude):
    """
    While the hook decides. The clients know nothing yet: one that speaks or leaves ends it.

    :param broken_off: called with this and the leg in question; gives both legs another owner.
    """

    def __init__(self, pair: Pair, broken_off: Callable[[Decision, Leg], object]) -> None:
        super().__init__(pair)
        self.cancelled = False
        self._broken_off = broken_off
        self._hook: Deferred[object] | None = None

    def ask(self, serve: ServeHook, decided: Callable[[Decision, object], object]) -> None:
        """
        Call the hook.

        :param decided: called with this and what the hook has said, perhaps a Failure.
        """
        self._hook = _ask(serve, self.pair).addCallback(lambda _: _check(self.pair))
        self._hook.addBoth(partial(decided, self))

    def cancel(self) -> None:
        """Ask the hook no longer. What it still says does not count."""
        self.cancelled = True
        if self._hook is not None:
            self._hook.cancel()

    def interrupt(self, leg: Leg, *, spoke: bool) -> None:
        """See :class:`Interlude`."""
        self.cancel()
        self._broken_off(self, leg)


class Decisions:
    """
    Those that are not yet made.

    :param timeout: seconds that one may take; 0 for ever.
    :param never_made: called with one whose time is over, after it has been taken out.
    """

    def __init__(
        self, clock: IReactorTime, timeout: float, never_made: Callable[[Decision], object]
    ) -> None:
        self._open: set[Decision] = set()
        self._deadlines: Deadlines[Decision] = Deadlines(clock, timeout, self._expire)
        self._never_made = never_made

    def __iter__(self) -> Iterator[Decision]:
        """In a copy that may be worked through while some of them are made."""
        return iter(list(self._open))

    def add(self, decision: Decision) -> None:
        """Its time begins."""
        self._open.add(decision)
        self._deadlines.add(decision)

    def discard(self, decision: Decision) -> None:
        """It is made, or will not be."""
        self._open.discard(decision)
        self._deadlines.discard(decision)

    def _expire(self, decision: Decision) -> None:
        self._open.discard(decision)
        self._never_made(decision)
