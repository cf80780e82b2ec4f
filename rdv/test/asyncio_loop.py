"""
Tests that run in an asyncio event loop, and tests that never do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from rdv import _awaiting as awaiting

__all__ = ["in_asyncio", "without_asyncio"]

Self = TypeVar("Self")


def in_asyncio(test: Callable[[Self], Coroutine[Any, Any, None]]) -> Callable[[Self], None]:
    """A test of trial's that runs a coroutine to its end."""

    @wraps(test)
    def run(self: Self) -> None:
        asyncio.run(asyncio.wait_for(test(self), 10))

    return run


def without_asyncio(test: SynchronousTestCase) -> None:
    """What is awaited in a test without a reactor has its result at once, whichever trial has."""
    test.patch(awaiting, "_asyncio_reactor", lambda: None)
