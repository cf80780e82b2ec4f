"""
What ``reactor.spawnProcess`` returns, for programs that come from :mod:`tests.nursery`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Any

from twisted.internet import reactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.process import ProcessReader, ProcessWriter
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.nursery import Child

__all__ = ["ForkedProcess"]

REACTOR: Any = reactor


class _End(FileDescriptor):
    """Detects that a program has ended."""

    def __init__(self, process: ForkedProcess, child: Child) -> None:
        super().__init__(REACTOR)
        self._process = process
        self._child = child
        self.startReading()

    def fileno(self) -> int:
        return self._child.status.fileno()

    def doRead(self) -> None:
        self.stopReading()
        self._process.child_ended(self._child.wait())


class ForkedProcess:
    """
    A process transport.

    :param argv: a module and its arguments.
    :param fds: what the program has for its stdin, stdout and stderr, or None for a pipe.
    :param env: added to the environment.
    """

    def __init__(
        self,
        protocol: ProcessProtocol,
        argv: Sequence[str],
        fds: Sequence[int | None],
        env: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self._protocol: Any = protocol
        streams = [PIPE if fd is None else fd for fd in fds]
        self._child = child = Child(argv, *streams, env=env, cwd=cwd)
        self.pid = child.pid
        self._pipes: dict[int, ProcessReader | ProcessWriter] = {}
        for number, pipe in enumerate((child.stdin, child.stdout, child.stderr)):
            if pipe is not None:
                fd = os.dup(pipe.fileno())
                pipe.close()
                os.set_blocking(fd, False)
                kind: Any = ProcessReader if number else ProcessWriter
                self._pipes[number] = kind(REACTOR, self, number, fd)
        self._end: Failure | None = None
        _End(self, child)
        protocol.makeConnection(self)

    def writeToChild(self, number: int, data: bytes) -> None:
        """See :class:`IProcessTransport`."""
        writer: Any = self._pipes[number]
        writer.write(data)

    def closeStdin(self) -> None:
        """See :class:`IProcessTransport`."""
        if 0 in self._pipes:
            self._pipes[0].loseConnection()

    def loseConnection(self) -> None:
        """See :class:`IProcessTransport`."""
        for pipe in list(self._pipes.values()):
            pipe.loseConnection()

    def signalProcess(self, number: str | int) -> None:
        """See :class:`IProcessTransport`."""
        if self._child.returncode is not None:
            raise ProcessExitedAlready
        self._child.send_signal(
            signal.Signals[f"SIG{number}"] if isinstance(number, str) else number
        )

    # Notifications from the parts.

    def childDataReceived(self, number: int, data: bytes) -> None:
        """From a pipe."""
        self._protocol.childDataReceived(number, data)

    def childConnectionLost(self, number: int, reason: Failure) -> None:
        """A pipe is closed."""
        os.close(self._pipes.pop(number).fileno())
        self._protocol.childConnectionLost(number)
        self._look()

    def child_ended(self, code: int) -> None:
        """The program has."""
        if code:
            error: Exception = ProcessTerminated(*((code, None) if code > 0 else (None, -code)))
        else:
            error = ProcessDone(0)
        self._end = Failure(error)
        self._protocol.processExited(self._end)
        self._look()

    def _look(self) -> None:
        if self._end is not None and not self._pipes:
            self._protocol.processEnded(self._end)
