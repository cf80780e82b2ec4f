"""
Programs under test: start one, write to it, and wait for its output, without ever polling.

::

    server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0")
    port = (await server.line(r"listening .*:(\\d+)"))[1]
    ...
    self.assertEqual(await server.ended, 0)

Every program is killed in the test's clean-up when it still runs. If the program has ended, so that
the expected output cannot come any more, a wait fails immediately and shows what the program wrote.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests import PYTHON_PATH
from tests.forked import ForkedProcess

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
SHOWN = 2000  # bytes of each stream in a message

T = TypeVar("T")


class ProgramEnded(AssertionError):
    """The program has ended without what the test was waiting for."""


def together(*parts: Coroutine[Deferred[Any], Any, T]) -> Deferred[list[T]]:
    """Let them go on at the same time; fires with their results, in this order."""
    return gatherResults([Deferred.fromCoroutine(part) for part in parts], consumeErrors=True)


class Program(ProcessProtocol):
    """
    One running program.

    :param test: kills the program when it is over.
    :param argv: the program, by its path, and its arguments.
    :param env: added to the environment.
    :param cwd: where it runs; by default in the checkout, where ``-m tests.x`` works.
    :param stdin: a descriptor instead of a pipe from :meth:`write`; the caller closes it.
    :param stdout: a descriptor instead of a pipe into :attr:`stdout`; the caller closes it.
    :param stderr: likewise.
    :param forked: the program is Python and a module, and comes from :mod:`tests.nursery`, faster.
    """

    transport: IProcessTransport

    def __init__(
        self,
        test: TestCase,
        *argv: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        forked: bool = False,
    ) -> None:
        self.argv = argv
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.exit_code: int | None = None
        self._exited = False
        self._waiting: list[Callable[[], bool]] = []
        env = dict(env or {})
        if "PYTHONPATH" in env:
            env["PYTHONPATH"] = os.pathsep.join([*PYTHON_PATH, env["PYTHONPATH"]])
        if forked:
            ForkedProcess(self, argv[2:], (stdin, stdout, stderr), env, cwd)
        else:
            cast(IReactorProcess, reactor).spawnProcess(
                self,
                argv[0],
                argv,
                env={**os.environ, **env},
                path=str(cwd),
                childFDs={
                    0: "w" if stdin is None else stdin,
                    1: "r" if stdout is None else stdout,
                    2: "r" if stderr is None else stderr,
                },
            )
        test.addCleanup(self._clean_up)

    # What a test does to the program.

    def write(self, data: bytes) -> None:
        """Write to the program's stdin; in vain when the program has closed it."""
        with contextlib.suppress(KeyError):
            self.transport.writeToChild(0, data)

    def close_stdin(self) -> None:
        """Let the program see the end of its stdin, behind all that was written."""
        self.transport.closeStdin()

    def signal(self, name: str) -> None:
        """
        Send a signal, such as ``"TERM"``.

        Wait for a sign of life first: one that comes between fork and exec is lost.

        :raises twisted.internet.error.ProcessExitedAlready: when the program is gone.
        """
        self.transport.signalProcess(signal.Signals[f"SIG{name}"].value)

    def kill(self) -> Deferred[int]:
        """End the program if it still runs, whatever it or a child of it does."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
            self.transport.loseConnection()
        return self.ended

    def _clean_up(self) -> Deferred[int]:
        # The test is over: ignore what cannot come any more.
        self._waiting.clear()
        return self.kill()

    # What a test waits for.

    @property
    def ended(self) -> Deferred[int]:
        """
        The exit code, or the negative number of a signal, once all output has been read.

        Each use gives a Deferred of its own.
        """
        return self._wait("its end", lambda: self.exit_code)

    @property
    def exited(self) -> Deferred[bool]:
        """Fires when it has ended, though processes that it has left behind may still write."""
        return self._wait("its end", lambda: self._exited or None)

    def line(self, pattern: str) -> Deferred[re.Match[str]]:
        """
        The first whole line, on stderr or stdout, in which *pattern* is found.

        Lines that were written before the call count too.
        """
        positions = {"stderr": 0, "stdout": 0}

        def look() -> re.Match[str] | None:
            for name, start in positions.items():
                output: bytearray = getattr(self, name)
                # The last line may be unfinished, unless the program has ended.
                end = len(output) if self.exit_code is not None else output.rfind(b"\n", start) + 1
                if end > start:
                    positions[name] = end
                    for line in output[start:end].decode(errors="replace").split("\n"):
                        if match := re.search(pattern, line):
                            return match
            return None

        return self._wait(f"a line with {pattern!r}", look)

    def received(self, size: int) -> Deferred[bytes]:
        """All that the program has written to stdout, once it is at least *size* bytes."""
        return self._wait(
            f"{size} bytes on stdout",
            lambda: bytes(self.stdout) if len(self.stdout) >= size else None,
        )

    def _wait(self, what: str, look: Callable[[], T | None]) -> Deferred[T]:
        """Call *look* whenever something happens, until it finds something."""
        deferred: Deferred[T] = Deferred()

        def settled() -> bool:
            found = look()
            if found is not None:
                deferred.callback(found)
            elif self.exit_code is not None:
                deferred.errback(ProgramEnded(f"no sign of {what}\n{self.report()}"))
            return deferred.called

        if not settled():
            self._waiting.append(settled)
        return deferred

    def report(self) -> str:
        """The program's story, for a message."""
        return (
            f"{' '.join(self.argv)}\nexit code: {self.exit_code}\n"
            f"stderr: {self.stderr[-SHOWN:].decode(errors='replace')}\n"
            f"stdout: {len(self.stdout)} bytes, at the end {bytes(self.stdout[-SHOWN:])!r}"
        )

    # Notifications from the reactor.

    def outReceived(self, data: bytes) -> None:
        self.stdout += data
        self._look_again()

    def errReceived(self, data: bytes) -> None:
        self.stderr += data
        self._look_again()

    def processExited(self, reason: Failure) -> None:
        self._exited = True
        self._look_again()

    def processEnded(self, reason: Failure) -> None:
        ended = cast(ProcessTerminated, reason.value)
        self.exit_code = -ended.signal if ended.signal else ended.exitCode
        self._look_again()

    def _look_again(self) -> None:
        # A callback may start to wait for the next thing: that one goes into the new list.
        waiting, self._waiting = self._waiting, []
        for settled in waiting:
            if not settled():
                self._waiting.append(settled)
