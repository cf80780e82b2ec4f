"""
The ends of connections that are made only to observe them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.protocol import Protocol

from rdv.client import Connection

__all__ = ["Closing", "End", "Pair", "all_of", "part"]

T = TypeVar("T")

#: Seconds for both connections of a pair to close.
_CLOSING = 1.0


class End(Protocol):
    """:ivar gone: fires when the connection is gone."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionLost(self, reason: object = None) -> None:
        self.gone.callback(None)

    def abort(self) -> None:
        """Reset the connection, if there is one."""
        if self.transport is not None and not self.gone.called:
            cast(Any, self.transport).abortConnection()


class Closing(End):
    """Closes its connection cleanly, as soon as it is established."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


@dataclass(frozen=True)
class Pair:
    """Two ends of one connection, without protocols."""

    dialer: Connection
    acceptor: Connection

    async def close(self, reactor: Any) -> None:
        """
        Close both ends cleanly, or reset them after a second. Cancelling this leaves nothing open.
        """
        ends = Closing(), Closing()
        late = reactor.callLater(_CLOSING, _abort, ends)
        self.dialer.attach(ends[0])
        self.acceptor.attach(ends[1])
        try:
            await all_of([end.gone for end in ends])
        finally:
            if late.active():
                late.cancel()
            _abort(ends)


def _abort(ends: Iterable[End]) -> None:
    for end in ends:
        end.abort()


async def part(*ends: End) -> None:
    """Reset the connections, and wait until they are gone."""
    _abort(ends)
    await all_of([end.gone for end in ends if end.transport is not None])


async def all_of(waiting: Sequence[Deferred[T]]) -> list[T]:
    """
    All results, in order, or the first failure. Cancelling this cancels all of them and raises
    ``CancelledError``; with a ``DeferredList``, the cancellations would be results.
    """
    try:
        return await gatherResults(waiting, consumeErrors=True)
    except FirstError as error:
        first = cast(BaseException, error.subFailure.value)
    raise first
