"""
The process of a worker, as its parent sees it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from rdv.server.generations.spawning import reason_of_end, spawn
from rdv.server.workers.orders import COMMANDS, COUNTED, PING, PONG, READY, START, Start
from rdv.server.workers.reports import reported

__all__ = ["Child"]


class Child(ProcessProtocol):
    """
    A worker's process. Its log events are logged here, with its number.

    :param start: its start parameters.
    :param became_ready: called with this when it serves.
    :param ended: called with this and the reason, in words, when it has ended.
    :param counted: called with its index and its encoded counters, when it was asked.
    :ivar index: the number of the worker.
    :ivar is_ready: whether it has started to serve.
    :ivar unanswered: how often it was asked whether it is alive since its last report.
    """

    transport: IProcessTransport

    def __init__(
        self,
        start: Start,
        became_ready: Callable[[Child], object],
        ended: Callable[[Child, str], object],
        counted: Callable[[int, bytes], object],
    ) -> None:
        self._counted = counted
        self._start = start
        self._became_ready = became_ready
        self._ended = ended
        self._unfinished = b""
        self.index = start.index
        self.is_ready = False
        self.unanswered = 0

    def spawn(
        self, reactor: IReactorProcess, descriptors: Mapping[int, int], passed: Mapping[int, int]
    ) -> None:
        """
        Start the process.

        :param descriptors: the descriptors that it inherits, by their numbers there.
        :param passed: see :func:`rdv.server.generations.spawning.spawn`.
        :raises OSError: when the system refuses.
        """
        # The worker must find the same modules as this process, whatever search path that was
        # given.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        # Other users see command-line arguments, and settings may contain secrets.
        environment[START] = self._start.to_json()
        command = [sys.executable, "-P", "-m", "rdv.server.workers.worker", str(self.index)]
        pipes: dict[int, int | str] = {COMMANDS: "w", 1: 1, 2: 2, self._start.reports: "r"}
        spawn(reactor, self, command, environment, {**pipes, **descriptors}, passed)

    def tell(self, command: bytes) -> None:
        """Send a command; without effect if the worker is about to end."""
        with suppress(KeyError):
            self.transport.writeToChild(COMMANDS, command)

    def ask(self) -> None:
        """Ask whether it is alive. Its reactor answers."""
        self.unanswered += 1
        self.tell(PING)

    def kill(self) -> None:
        """Kill the process."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """See :class:`IProcessProtocol`: reports."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            if line == READY:
                self.is_ready = True
                self._became_ready(self)
            elif line.startswith(COUNTED):
                self._counted(self.index, line[len(COUNTED) :])
            elif line == PONG:
                self.unanswered = 0
            else:
                self._log(line)

    def processEnded(self, reason: Failure) -> None:
        self._ended(self, reason_of_end(reason))

    def _log(self, line: bytes) -> None:
        with suppress(ValueError):  # it was killed while it wrote
            globalLogPublisher(reported(line.decode(), self.index))
