"""
Tests that run in an event loop of asyncio's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

Self = TypeVar("Self")


def in_asyncio(test: Callable[[Self], Coroutine[Any, Any, None]]) -> Callable[[Self], None]:
    """A test of trial's that runs a coroutine to its end."""

    @wraps(test)
    def run(self: Self) -> None:
        asyncio.run(asyncio.wait_for(test(self), 10))

    return run
