"""
Processes that begin with descriptors of this one.

Sockets that systemd has passed to us keep their numbers and names in them: Twisted looks them up
there, as here.
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
#: systemd says for which process they are. A shell knows the number of the one that it becomes.
_FOR_ITSELF = ("/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh")


def first_number(passed: Mapping[int, int]) -> int:
    """
    The lowest number of a descriptor that is free in a process which inherits those.

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
    Start a process. Signals wait until it can handle them.

    :param descriptors: which of ours it inherits, and its pipes, by the numbers that it knows them
        by.
    :param passed: of those from systemd, by the numbers that these had.
    :raises OSError: when the system does not let us.
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
    """Why a process has ended, in words, from what Twisted says of it."""
    signal = getattr(failure.value, "signal", None)
    status = getattr(failure.value, "exitCode", None)
    return f"signal {signal}" if signal else f"exit status {status or 0}"


def _names(passed: Mapping[int, int]) -> list[str]:
    """Of all that systemd has passed, whoever uses them."""
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = max(passed, default=_START - 1) + 1 - _START
    return names if passed and len(names) >= count else ["unknown"] * count
