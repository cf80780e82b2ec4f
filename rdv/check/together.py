"""
Waiting for several things at once, such that a cancellation ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults

__all__ = ["all_of"]

T = TypeVar("T")


async def all_of(waiting: Sequence[Deferred[T]]) -> list[T]:
    """
    All results, in order. When one fails it fails with that. Cancelling cancels them all, and is
    not taken for a result, as a ``DeferredList`` would.
    """
    try:
        return await gatherResults(waiting, consumeErrors=True)
    except FirstError as error:
        first = cast(BaseException, error.subFailure.value)
    raise first
