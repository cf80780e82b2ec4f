"""
The old generation's side: starts the new one, and waits until it serves.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from rdv.server.generations.heritage import READY, Heritage
from rdv.server.generations.listeners import Listeners
from rdv.server.generations.spawning import first_number, reason_of_end, spawn
from rdv.server.passing.message import inbox_pair

__all__ = ["Succession"]

log = Logger()

#: Seconds within which it must serve.
_PATIENCE = 60.0
#: The reason of a clean end.
_IN_ORDER = "exit status 0"
#: Standard input, output and error.
_STANDARD = (0, 1, 2)


class Succession:
    """
    Replaces this process with a new one.

    :param listeners: the sockets that the new one inherits.
    :param serves: called with the process of the new one as soon as it serves.
    :param failed: called if it does not serve, for any reason.
    :param lost: called when it has ended after it served.
    :ivar is_over: whether it serves or has served.
    """

    def __init__(
        self,
        reactor: Any,
        listeners: Listeners,
        serves: Callable[[int], object],
        failed: Callable[[], object],
        lost: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._listeners = listeners
        self._serves = serves
        self._failed = failed
        self._lost = lost
        self._successor: _Successor | None = None
        self._patience: IDelayedCall | None = None
        self._inbox: tuple[socket.socket, socket.socket] | None = None
        self.is_over = False

    @property
    def inbox(self) -> tuple[socket.socket, socket.socket]:
        """
        The receiving end and the sending end.

        :raises OSError: when the system does not support it.
        """
        if self._inbox is None:
            self._inbox = inbox_pair()
        return self._inbox

    def begin(self) -> None:
        """Start a new generation, unless there already is one."""
        if self._successor is not None or self.is_over:
            log.warn("there already is a new generation")
            return
        successor = _Successor(self._ready, self._ended)
        try:
            self._spawn(successor)
        except OSError as error:
            self._report(f"cannot be started, {error.strerror}")
            return
        self._successor = successor
        self._patience = self._reactor.callLater(_PATIENCE, self._give_up)
        log.info("starting a new generation: process {pid}", pid=successor.pid)

    def cancel(self) -> None:
        """End a new generation that does not serve yet: it is not needed."""
        if self._successor is not None and not self.is_over:
            self._successor.signal("KILL")  # other signals are blocked until it serves

    def _spawn(self, successor: _Successor) -> None:
        passed = self._listeners.passed
        first = first_number(passed)
        named = self._listeners.named
        numbers = range(first + 2, first + 2 + len(named))
        listening = [(name, number) for (name, _), number in zip(named, numbers, strict=True)]
        descriptors: dict[int, int | str] = {
            **{number: number for number in _STANDARD},
            first: "r",
            first + 1: self.inbox[0].fileno(),
            **{number: each for (_, each), number in zip(named, numbers, strict=True)},
        }
        # The interpreter is looked up by its path again: by now that may lead to a new version.
        command = [sys.executable, *sys.orig_argv[1:]]
        environment = Heritage(listening, first + 1, first).to_environment(os.environ)
        environment.pop("WATCHDOG_PID", None)  # set by systemd for this process only
        spawn(self._reactor, successor, command, environment, descriptors, passed)

    def _ready(self) -> None:
        self._calm()
        self.is_over = True
        if self._successor is not None:
            log.info("the new generation serves: process {pid}", pid=self._successor.pid)
            self._serves(self._successor.pid)

    def _ended(self, reason: str) -> None:
        self._calm()
        self._successor = None
        if self.is_over:
            # A clean end: it was told to stop, or has been replaced itself.
            level = LogLevel.info if reason == _IN_ORDER else LogLevel.critical
            log.emit(level, "the new generation has ended: {reason}", reason=reason)
            self._lost()
        else:
            self._report(f"did not start: {reason}")

    def _report(self, what: str) -> None:
        log.critical("the new generation {what}; this one goes on", what=what)
        self._failed()

    def _give_up(self) -> None:
        if self._successor is not None:
            log.critical("the new generation did not get ready: killed")
            self._successor.signal("KILL")

    def _calm(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()


class _Successor(ProcessProtocol):
    """
    The process of a new generation.

    :param ready: called when it serves.
    :param ended: called with the reason, in words, when it has ended.
    """

    transport: IProcessTransport

    def __init__(self, ready: Callable[[], object], ended: Callable[[str], object]) -> None:
        self._ready = ready
        self._ended = ended
        self._said = b""

    @property
    def pid(self) -> int:
        return int(self.transport.pid or 0)

    def signal(self, name: str) -> None:
        """Send the process a signal, if it is running."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._said += data
        if self._said == READY:
            self._ready()

    def processExited(self, reason: Failure) -> None:
        """
        See :class:`IProcessProtocol`. This does not wait until its pipes are closed: its children
        may have them.
        """
        self._ended(reason_of_end(reason))
