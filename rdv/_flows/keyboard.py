"""
A terminal as a source.

It belongs to the shell and to other programs as well. A process in the background that reads from
it is stopped; and one that others have emptied meanwhile keeps whoever reads from it waiting.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from rdv._flows.sources import Consumer, Ended, WatchedSource
from rdv._system.terminal import is_ours

__all__ = ["TerminalSource"]

#: Seconds between two looks whether the terminal is ours again. No signal tells: a shell that
#: brings a job to the foreground sends one only if the job was stopped.
_PAUSE = 0.5


class TerminalSource(WatchedSource):
    """
    Reads a terminal while it is ours, without ever waiting for it.

    The descriptor is shared, and so is whether it blocks: what is read from is another one, of the
    same terminal.
    """

    def __init__(self, reactor: Any, fd: int) -> None:
        super().__init__(reactor, fd)
        self._clock = reactor
        self._own: int | None = None
        self._next_look: IDelayedCall | None = None

    def start(self, consumer: Consumer, ended: Ended) -> None:
        """See :class:`rdv._flows.sources.Source`."""
        if self._own is None:
            self._own = _open_again(self.fd)
        super().start(consumer, ended)

    def read(self) -> bytes:
        """See :class:`rdv._flows.sources.WatchedSource`."""
        if not is_ours(self.fd):
            self._wait()
            raise BlockingIOError
        # If it ceases to be ours just now, reading shall fail rather than stop us.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN,))
        try:
            return self._read_now()
        except OSError as error:
            if error.errno == errno.EIO and not is_ours(self.fd):
                self._wait()
                raise BlockingIOError from error
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _read_now(self) -> bytes:
        if self._own is not None:
            return os.read(self._own, self.CHUNK)
        if not select.select((self.fd,), (), (), 0)[0]:
            raise BlockingIOError
        return os.read(self.fd, self.CHUNK)

    def _wait(self) -> None:
        self.pauseProducing()
        self._next_look = self._clock.callLater(_PAUSE, self.resumeProducing)

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        super().pauseProducing()
        if self._next_look is not None and self._next_look.active():
            self._next_look.cancel()
        self._next_look = None

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""
        super().stopProducing()
        self._let_go()

    def stop(self) -> None:
        """See :class:`rdv._flows.sources.Source`."""
        super().stop()
        self._let_go()

    def _let_go(self) -> None:
        self.pauseProducing()
        if self._own is not None:
            os.close(self._own)
            self._own = None


def _open_again(fd: int) -> int | None:
    """The same terminal as a descriptor of our own, that does not block; None where we may not."""
    try:
        os.tcgetpgrp(fd)
        path = "/dev/tty"  # for everybody, also after su
    except OSError:  # not the one that we were started from
        path = os.ttyname(fd)
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
