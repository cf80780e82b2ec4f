"""
The end of a site: whoever has come is answered, and nobody else is kept from going elsewhere.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

__all__ = ["take_queued", "when"]

#: Turns in which a port is emptied at most; in most of them it accepts more than one.
_TURNS = 1 << 13
#: Seconds between two looks.
_PAUSE = 0.02


def take_queued(ports: Iterable[Any]) -> None:
    """
    Accept all who are in the queues of these ports now. They would be reset when the last one who
    has the socket closes it.
    """
    for port in ports:
        queue = select.poll()
        queue.register(port.fileno(), select.POLLIN)
        for _ in range(_TURNS):
            if not queue.poll(0):
                break
            port.doRead()


def when(clock: IReactorTime, over: Callable[[], bool], patience: float) -> Deferred[None]:
    """
    Wait.

    :param over: whether what is waited for has come.
    :param patience: seconds after which it is no longer waited for.
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
