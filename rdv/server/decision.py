"""
A pair about which the ``serve`` hook is still thinking.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rdv.server.leg import Leg
from rdv.server.relay import Pair

__all__ = ["Decision", "ServeHook", "ask"]

#: Decides about a pair before it is told; see :class:`rdv.server.relay.Pair`.
ServeHook: TypeAlias = Callable[[Pair], Awaitable[object] | None]


async def ask(serve: ServeHook, pair: Pair) -> None:
    """Call the hook, and wait for whatever kind of awaitable it returns."""
    answer: object = serve(pair)
    if isinstance(answer, asyncio.Future):
        answer = Deferred.fromFuture(answer)
    if inspect.isawaitable(answer):
        await answer


class Decision:
    """
    Owner of both legs while the hook decides. The clients know nothing yet: one that speaks or
    leaves ends it.

    :param broken_off: called with this and the leg in question; gives both legs another owner.
    """

    def __init__(self, pair: Pair, broken_off: Callable[[Decision, Leg], object]) -> None:
        self.pair = pair
        self.cancelled = False
        self._broken_off = broken_off
        self._hook: Deferred[object] | None = None
        pair.dialer.owner = pair.acceptor.owner = self

    def wait_for(self, hook: Deferred[object]) -> Deferred[object]:
        """Remember what is to be cancelled if the pair breaks off."""
        self._hook = hook
        return hook

    def cancel(self) -> None:
        """Ask the hook no longer. What it still says does not count."""
        self.cancelled = True
        if self._hook is not None:
            self._hook.cancel()

    def _break_off(self, leg: Leg) -> None:
        self.cancel()
        self._broken_off(self, leg)

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """See :class:`LegOwner`."""
        self._break_off(leg)
        leg.owner.leg_received(leg, data)

    def leg_ended(self, leg: Leg) -> None:
        """See :class:`LegOwner`."""
        self._break_off(leg)
        leg.owner.leg_ended(leg)

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """See :class:`LegOwner`."""
        self._break_off(leg)
        leg.owner.leg_lost(leg, reason)
