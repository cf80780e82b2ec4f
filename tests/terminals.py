"""
A terminal to which a program writes, as a user sees it, and a shell there.

::

    screen = Screen(self)
    program = Program(self, PYTHON, "-m", "rdv", ..., stderr=screen.fd)
    await screen.shows("100%")
    await screen.closed
    self.assertEqual(screen.lines(), [...])
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.processes import Program

REACTOR: Any = reactor


@implementer(IReadDescriptor)
class Screen:
    """
    A terminal.

    :ivar fd: the descriptor for a program. It is open here as well until :meth:`let_go`.
    :ivar text: everything that has been written.
    :ivar closed: fires when no program has it open any more.
    """

    def __init__(self, test: TestCase, columns: int = 80) -> None:
        self._person, self.fd = pty.openpty()
        self._open = True
        self.resize(columns)
        self.text = ""
        self._data = b""
        self.closed: Deferred[None] = Deferred()
        self._waiting: list[tuple[re.Pattern[str], Deferred[str]]] = []
        REACTOR.addReader(self)
        test.addCleanup(self._clean_up)

    def resize(self, columns: int) -> None:
        """Make it so wide."""
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._person, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._person, text.encode())

    def let_go(self) -> None:
        """The programs that have it are there: :attr:`closed` is about them alone."""
        if self._open:
            self._open = False
            os.close(self.fd)

    def shows(self, pattern: str) -> Deferred[str]:
        """Fires with what has been written until now when ``pattern`` is found there."""
        deferred: Deferred[str] = Deferred()
        self._waiting.append((re.compile(pattern), deferred))
        self._look()
        return deferred

    def lines(self) -> list[str]:
        """What stands on it: each line, with what has overwritten it."""
        return [seen(line) for line in self.text.replace("\r\n", "\n").split("\n")]

    def drawn(self) -> list[str]:
        """All that stood on its last line for a while, without what was there once more."""
        pieces = re.findall(r"\r([^\r\n\x1b]+)\x1b\[K", self.text)
        return list(dict.fromkeys(pieces))

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        for pattern, deferred in waiting:
            if pattern.search(self.text):
                deferred.callback(self.text)
            elif self.closed.called:
                deferred.errback(AssertionError(f"no {pattern.pattern!r} in {self.text!r}"))
            else:
                self._waiting.append((pattern, deferred))

    # For the reactor.

    def fileno(self) -> int:
        return self._person

    def logPrefix(self) -> str:
        return "screen"

    def doRead(self) -> Failure | None:
        try:
            self._data += os.read(self._person, 1 << 16)
        except OSError:
            return Failure(ConnectionDone())
        self.text = self._data.decode(errors="replace")
        self._look()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Nobody has the other end. What was written there before has been read."""
        self.closed.callback(None)
        self._look()

    def _clean_up(self) -> None:
        self.let_go()
        REACTOR.removeReader(self)
        os.close(self._person)


def shell_at(test: TestCase, screen: Screen) -> Program:
    """Start a shell with job control, as a person has it at a terminal."""
    shell = Program(
        test,
        *("/usr/bin/setsid", "--ctty", "/bin/bash", "--norc", "--noprofile", "-i"),
        env={"PS1": "$ ", "TERM": "dumb", "HISTFILE": ""},
        stdin=screen.fd,
        stdout=screen.fd,
        stderr=screen.fd,
    )
    screen.let_go()
    return shell


def seen(line: str) -> str:
    """What is left of a line after carriage returns and erasures."""
    shown = ""
    for piece in line.split("\r"):
        written, erases, rest = piece.partition("\x1b[K")
        shown = written + rest if erases else written + shown[len(written) :]
    return shown
