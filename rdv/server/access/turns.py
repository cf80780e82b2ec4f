"""
Turns for things of which only so many may be under way at once, where strangers are in the queue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import DeferredSemaphore

__all__ = ["Turns"]


class Turns:
    """
    Those of one party stand in a queue of their own, so that others do not wait behind all of them.

    :param at_once: how many turns there are.
    :param of_one: how many of them one party has at most.
    """

    def __init__(self, at_once: int, of_one: int) -> None:
        self._all = DeferredSemaphore(at_once)
        self._of_one = of_one
        self._own: dict[bytes, DeferredSemaphore] = {}

    def __len__(self) -> int:
        """How many parties are there."""
        return len(self._own)

    @asynccontextmanager
    async def turn(self, party: bytes) -> AsyncIterator[None]:
        """
        Wait for a turn, and have it.

        :param party: whose it is; nobody's when empty, who may have all.
        """
        if not party:
            async with self._all:
                yield
            return
        own = self._own.setdefault(party, DeferredSemaphore(self._of_one))
        await own.acquire()
        try:
            async with self._all:
                yield
        finally:
            own.release()
            if own.tokens == own.limit:  # nobody has one, or waits for one
                del self._own[party]
