"""
SIGINT and SIGTERM, for commands that have something to close.
"""

from __future__ import annotations

import signal
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

__all__ = ["Interruption"]

T = TypeVar("T")


class Interruption:
    """
    SIGINT and SIGTERM cancel what is under way.

    :ivar status: the exit status that stands for the signal; None as long as there was none.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._current: Deferred[Any] | None = None
        self.status: int | None = None
        # The reactor sets its own when it starts to run.
        reactor.callWhenRunning(self._install)

    def _install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def cancels(self, deferred: Deferred[T]) -> Deferred[T]:
        """Let a signal cancel ``deferred``."""
        self._current = deferred
        return deferred

    def _handle(self, number: int, frame: object) -> None:
        self.status = 128 + number
        self._reactor.callFromThread(self._cancel)

    def _cancel(self) -> None:
        if self._current is not None:
            self._current.cancel()
