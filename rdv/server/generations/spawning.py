"""
Starts processes that inherit descriptors of this one.

Sockets from systemd keep their numbers and names in them, because Twisted looks them up there, as
in this process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from twisted.internet.interfaces import IProcessProtocol, IReactorProcess
from twisted.python.failure import Failure

from rdv._system.process import hold_signals, release_signals

__all__ = ["first_number", "reason_of_end", "spawn"]

#: The number of the first descriptor that systemd passes.
_START = 3
#: systemd's variables name the process that they are for. A shell knows the number of its own
#: process, which the command then has.
_FOR_ITSELF = ("/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh")


def first_number(passed: Mapping[int, int]) -> int:
    """
    The lowest free descriptor number in a process that inherits these.

    :param passed: see :func:`spawn`.
    """
    return _START + len(_names(passed))


def spawn(
    reactor: IReactorProcess,
    protocol: IProcessProtocol,
    command: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Mapping[int, int | str],
    passed: Mapping[int, int],
) -> None:
    """
    Start a process. Signals are blocked until it can handle them.

    :param descriptors: the descriptors that it inherits, and its pipes, by their numbers there.
    :param passed: inherited descriptors from systemd, by their original numbers.
    :raises OSError: when the system refuses.
    """
    ours = {name: each for name, each in environment.items() if not name.startswith("LISTEN_")}
    if passed:
        names = _names(passed)
        ours |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        command = [*_FOR_ITSELF, *command]
    waiting = hold_signals(ending=True)
    try:
        reactor.spawnProcess(
            protocol,
            command[0],
            command,
            env=ours,
            childFDs={**passed, **descriptors},
        )
    finally:
        release_signals(waiting)


def reason_of_end(failure: Failure) -> str:
    """Why a process has ended, in words, from Twisted's failure."""
    signal = getattr(failure.value, "signal", None)
    status = getattr(failure.value, "exitCode", None)
    return f"signal {signal}" if signal else f"exit status {status or 0}"


def _names(passed: Mapping[int, int]) -> list[str]:
    """The names of all sockets from systemd, used or not."""
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = max(passed, default=_START - 1) + 1 - _START
    return names if passed and len(names) >= count else ["unknown"] * count
