"""
``rdv serve --replace``: has a server that runs start its next generation, and waits for that.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.task import deferLater

from rdv._stdio.console import Console
from rdv._system.pid_file import running
from rdv.commands.running import OK
from rdv.errors import RdvError

__all__ = ["replace"]

#: Seconds between two looks, and until it is no longer waited for: a server says within a minute
#: how it went, unless it cannot write its file, or is stopped.
_PAUSE, _PATIENCE = 0.05, 90.0


async def replace(reactor: Any, path: str, console: Console) -> int:
    """
    Send the signal to the process that ``path`` names, and wait until the file says how it went: it
    is written anew, by the next generation, or else by the same one again.

    :raises RdvError: when nobody runs there, the next one did not start, or nothing is heard of it.
    """
    before, old = _identity(path), running(path)
    if old is None:
        raise RdvError(f"{path}: no server is running")
    try:
        os.kill(old, signal.SIGUSR2)
    except OSError as error:
        raise RdvError(f"cannot signal process {old}: {error.strerror}") from error
    end = reactor.seconds() + _PATIENCE
    while _identity(path) == before and running(path) is not None:
        if reactor.seconds() >= end:
            raise RdvError(f"process {old} does not say how it went: see its log")
        await deferLater(reactor, _PAUSE)
    new = running(path)
    if new is None:
        raise RdvError(f"process {old} has ended")
    if new == old:
        raise RdvError(f"the new generation did not start, and process {old} goes on: see its log")
    console.tell("replaced", f"REPLACED: process {old} by process {new}", old=old, new=new)
    return OK


def _identity(path: str) -> tuple[int, int] | None:
    """Of the file that is there now; one that is written anew is another."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
