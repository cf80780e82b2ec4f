"""
Reports the state of a server to its service manager, for example systemd.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from rdv._system.service_manager import ServiceManager
from rdv.server.lifecycle.reloading import Reload

__all__ = ["Condition", "Supervised", "supervise"]

#: Seconds between two reports.
_PERIOD = 5.0
#: Seconds by which a stopping server asks to extend its time, at each report.
_PATIENCE = 30.0


class Condition(NamedTuple):
    """
    The state of a server.

    :ivar text: a few words for humans.
    :ivar is_well: whether all of its processes work.
    :ivar is_stopping: whether it is draining.
    """

    text: str
    is_well: bool
    is_stopping: bool


class Supervised(Protocol):
    """
    A server.

    :ivar ready: fires when it serves.
    :ivar reloads: called for a reload, in this order.
    :ivar replaced: each is called with the process that has replaced it.
    """

    ready: Deferred[None]
    reloads: list[Reload]
    replaced: list[Callable[[int], object]]

    def condition(self) -> Condition:
        """The current state."""


def supervise(reactor: IReactorTime, server: Supervised, manager: ServiceManager) -> None:
    """
    Report events to ``manager`` from now on, and the state of the server every few seconds. While
    the server is stopping, ask for more time. If not all of its processes work, the manager's
    watchdog is no longer notified.

    To be called when ``reloads`` is complete.
    """
    if not manager.is_there:
        return
    words = _Words(server.condition, manager)
    server.reloads.insert(0, words.reloading)
    server.reloads.append(words.ready)
    server.replaced.append(words.replaced)
    telling = LoopingCall(words.tell)
    telling.clock = reactor

    def begin(_: None) -> None:
        words.ready()
        period = _PERIOD if manager.watchdog is None else min(_PERIOD, manager.watchdog / 3)
        telling.start(period)

    server.ready.addCallback(begin)


class _Words:
    """The messages for each event."""

    def __init__(self, condition: Callable[[], Condition], manager: ServiceManager) -> None:
        self._condition = condition
        self._manager = manager
        self._text = ""
        self._stopping = False
        self._is_replaced = False

    def ready(self) -> None:
        self._manager.tell(READY=1)

    def replaced(self, pid: int) -> None:
        """Another process has replaced this one, and reports from now on."""
        self._manager.tell(MAINPID=pid)
        self._is_replaced = True

    def reloading(self) -> None:
        """A reload begins; ``ready`` follows."""
        now = time.clock_gettime(time.CLOCK_MONOTONIC)
        self._manager.tell(RELOADING=1, MONOTONIC_USEC=ServiceManager.microseconds(now))

    def tell(self) -> None:
        if self._is_replaced:
            return
        text, is_well, is_stopping = self._condition()
        fields: dict[str, object] = {}
        if is_stopping and not self._stopping:
            fields["STOPPING"] = 1
        if is_stopping:
            fields["EXTEND_TIMEOUT_USEC"] = ServiceManager.microseconds(_PATIENCE)
        if text != self._text:
            fields["STATUS"] = text
        if self._manager.watchdog is not None and (is_well or is_stopping):
            fields["WATCHDOG"] = 1
        self._text, self._stopping = text, is_stopping
        if fields:
            self._manager.tell(**fields)
