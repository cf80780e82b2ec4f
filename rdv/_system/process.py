"""
What rdv's own programs do to their process: its standard descriptors, signals and threads. A
library leaves them alone. Importing this module does not load Twisted.
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

#: Signals that end a program cleanly.
_ENDING = (signal.SIGINT, signal.SIGTERM)
#: Signals that a server survives, although by default they kill a process.
_OTHERS = [
    signal.Signals[name]
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2")
    if name in signal.Signals.__members__
]


def open_standard_descriptors() -> None:
    """
    Open /dev/null for each one that is closed, so that its number is not given to another file. A
    stdin that is write-only is replaced by an empty one: that is how ``nohup`` disables it.
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
    """Make stdin empty. The file that it was is not changed: other processes may be using it."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def take_signals(handle: Callable[[int], object], numbers: Iterable[int] = _ENDING) -> None:
    """
    Call ``handle`` with the number of each such signal, between any two instructions of the main
    thread. For SIGINT and SIGTERM, do this when the reactor is running, because it installs its own
    handlers when it starts: with those, the signal kills ``twist``, which should exit with 0.
    """
    for number in numbers:
        signal.signal(number, lambda number, frame: handle(number))


def ignore_signals() -> None:
    """Ignore SIGINT and SIGTERM."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def spare_signals() -> None:
    """
    Ignore signals that a server does not use. By default they would kill it, which resets the
    relayed connections.
    """
    for number in _OTHERS:
        signal.signal(number, signal.SIG_IGN)


def hold_signals(*, ending: bool = False) -> set[int]:
    """
    Block signals until a server can handle them: by default they would kill it while it starts.
    Processes that are started meanwhile inherit this.

    :param ending: block SIGINT and SIGTERM, too.
    :return: the signals that were blocked before, for :func:`release_signals`.
    """
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, [*_OTHERS, *_ENDING * ending]))


def release_signals(waiting: Iterable[int] = ()) -> None:
    """
    Deliver blocked signals.

    :param waiting: the signals that remain blocked.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def never_wait_for_lookups(reactor: Any) -> None:
    """
    Let a program end although a name server does not respond. The C library looks up names, in
    threads of the reactor, and cannot be interrupted; a reactor waits for its threads before it
    stops, for 10 seconds or more. It does not wait for the daemon threads that it gets here.
    """
    from functools import partial
    from threading import Thread

    from twisted.python.threadpool import ThreadPool

    pool = ThreadPool(0, 10, "lookups")
    pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
    pool.start()
    reactor.threadpool = pool  # it makes one of its own only if there is none
