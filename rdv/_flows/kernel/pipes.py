"""
Pipes through which the kernel moves bytes from one socket to another.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import NamedTuple

from rdv._system.descriptors import first_reserved

__all__ = ["Pipe", "Pipes", "enlarge"]

#: The capacity of a pipe in bytes: of the few that stay in stock, and of the others, which are
#: smaller because Linux limits a user's pipes to 64 MiB in total. (The kernel counts buffers, one
#: for each page of the capacity. A buffer may hold less than a page, or more.)
_CAPACITY, _CAPACITY_OF_MORE = 1 << 20, 1 << 18


class Pipe(NamedTuple):
    """The two descriptors of a pipe."""

    read_end: int
    write_end: int


class Pipes:
    """
    A stock of empty pipes. A flow takes one when it moves data and returns it as soon as it is
    empty, so a stock of a few serves any number of flows that are not stalled.

    :param limit: how many may be in use at one time.
    :param spare: how many returned pipes are kept.
    """

    def __init__(self, limit: int = 256, spare: int = 16) -> None:
        self._limit = limit
        self._spare = spare
        self._stock: list[Pipe] = []
        #: How many are in use.
        self.taken = 0

    def take(self) -> Pipe | None:
        """An empty pipe; None when too many are in use, or descriptors are running short."""
        if self._stock:
            self.taken += 1
            return self._stock.pop()
        if self.taken >= self._limit:
            return None
        try:
            pipe = Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return None
        if max(pipe) >= first_reserved():
            _close(pipe)
            return None
        capacity = _CAPACITY if self.taken < self._spare else _CAPACITY_OF_MORE
        with suppress(OSError):  # it keeps its default capacity
            fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, capacity)
        self.taken += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Return a pipe that is empty."""
        self.taken -= 1
        if len(self._stock) < self._spare:
            self._stock.append(pipe)
        else:
            _close(pipe)

    def discard(self, pipe: Pipe) -> None:
        """Close a pipe that is not empty, and drop its data."""
        self.taken -= 1
        _close(pipe)

    def close(self) -> None:
        """Close the pipes in stock."""
        stock, self._stock = self._stock, []
        for pipe in stock:
            _close(pipe)


def enlarge(fd: int) -> None:
    """Enlarge another program's pipe beyond the usual 64 KiB, if allowed; never shrink it."""
    with suppress(AttributeError, OSError):  # only Linux has sizes of pipes
        if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) < _CAPACITY_OF_MORE:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _CAPACITY_OF_MORE)


def _close(pipe: Pipe) -> None:
    for fd in pipe:
        os.close(fd)
