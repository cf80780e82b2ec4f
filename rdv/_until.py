"""
Waits for a condition that nothing reports: it has to be polled.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

__all__ = ["wait_until"]

#: Seconds between two checks.
_PAUSE = 0.02


def wait_until(clock: IReactorTime, over: Callable[[], bool], patience: float) -> Deferred[None]:
    """
    Wait.

    :param over: whether the condition is true.
    :param patience: seconds after which to stop waiting.
    :return: fires then.
    """
    end = clock.seconds() + patience
    waiting: Deferred[None] = Deferred()

    def look() -> None:
        if over() or clock.seconds() >= end:
            waiting.callback(None)
        else:
            clock.callLater(_PAUSE, look)

    look()
    return waiting
