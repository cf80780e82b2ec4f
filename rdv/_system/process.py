"""
What rdv's own programs do to their process: its standard descriptors, signals and threads. A
library leaves them alone. Nothing of Twisted is loaded for this.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = [
    "empty_stdin",
    "hold_signals",
    "ignore_signals",
    "never_wait_for_lookups",
    "open_standard_descriptors",
    "release_signals",
    "spare_signals",
    "take_signals",
]

#: What ends a program in good order.
_ENDING = (signal.SIGINT, signal.SIGTERM)
#: What a server goes on at, though the default is to die of it.
_OTHERS = [
    signal.Signals[name]
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2")
    if name in signal.Signals.__members__
]


def open_standard_descriptors() -> None:
    """
    Open what is closed, so that its number is not given to the next file, and let a stdin that
    cannot be read be an empty one: ``nohup`` makes it write-only, to say that there is none.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w"))
    if fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
        empty_stdin()


def empty_stdin() -> None:
    """Let stdin have nothing; what it was is left to others."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def take_signals(handle: Callable[[int], object], numbers: Iterable[int] = _ENDING) -> None:
    """
    Call ``handle`` with the number of each such signal, between any two instructions of the main
    thread. For SIGINT and SIGTERM to be called when the reactor runs, which sets handlers of its
    own as it starts: those make ``twist`` die of the signal instead of exiting with 0.
    """
    for number in numbers:
        signal.signal(number, lambda number, frame: handle(number))


def ignore_signals() -> None:
    """Go on at SIGINT and SIGTERM."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def spare_signals() -> None:
    """
    Go on at signals that a server has no use for: their default is to kill it, which would reset
    its relays.
    """
    for number in _OTHERS:
        signal.signal(number, signal.SIG_IGN)


def hold_signals(*, ending: bool = False) -> set[int]:
    """
    Let signals wait until a server can handle them: their default would kill it as it starts. A
    process that is started meanwhile has them wait as well.

    :param ending: SIGINT and SIGTERM, too.
    :return: which have waited before, for :func:`release_signals`.
    """
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, [*_OTHERS, *_ENDING * ending]))


def release_signals(waiting: Iterable[int] = ()) -> None:
    """
    Let those come that have waited.

    :param waiting: which are to wait on.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def never_wait_for_lookups(reactor: Any) -> None:
    """
    Let a program end though a name server is silent. Names are looked up by the C library, in
    threads, where nobody can stop it, and for its threads, which do nothing else, a reactor waits
    before it stops: 10 seconds and more. Daemon threads end with the process.
    """
    from functools import partial
    from threading import Thread

    from twisted.python.threadpool import ThreadPool

    pool = ThreadPool(0, 10, "lookups")
    pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
    pool.start()
    reactor.threadpool = pool  # it makes one of its own only if there is none
