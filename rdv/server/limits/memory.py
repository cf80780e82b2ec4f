"""
The memory that contains the counts of one or several processes.

It begins with what all of them write, followed by a part for each worker, which no other worker
writes. Pages that have never been used take no memory.
"""

from __future__ import annotations

import os
import tempfile
from mmap import PAGESIZE, mmap

from rdv.server.limits.sketch import SLOTS

__all__ = ["HIDING", "RATES", "Memory"]

#: Number of rates.
RATES = 3
#: How many proxies a worker can publish.
HIDING = 4

_SECRET = 32
_COUNTS_SIZE = SLOTS * 8
_TIMES_SIZE = SLOTS * 8
_SHARED_SIZE = PAGESIZE + RATES * _TIMES_SIZE
_PART_SIZE = PAGESIZE + _COUNTS_SIZE


class Memory:
    """
    Memory for a number of workers.

    :param own: the index of this worker.
    :param descriptor: the one that :meth:`to_share` has returned in another process, and that the
        caller closes; None for memory that is not shared.
    """

    def __init__(self, workers: int = 1, own: int = 0, descriptor: int | None = None) -> None:
        self.own = own
        self._view = memoryview(mmap(-1 if descriptor is None else descriptor, _size(workers)))
        parts = self._view[_SHARED_SIZE:]
        self._parts = [parts[n * _PART_SIZE :][:_PART_SIZE] for n in range(workers)]
        if descriptor is None:
            self._view[:_SECRET] = os.urandom(_SECRET)

    @classmethod
    def to_share(cls, workers: int) -> tuple[Memory, int]:
        """
        Allocate memory that can be shared with other processes.

        :return: the memory, and its descriptor, which they inherit.
        :raises OSError: when the system refuses.
        """
        descriptor = _anonymous_file()
        try:
            os.ftruncate(descriptor, _size(workers))
            os.pwrite(descriptor, os.urandom(_SECRET), 0)
            return cls(workers, 0, descriptor), descriptor
        except OSError:
            os.close(descriptor)
            raise

    @property
    def secret(self) -> bytes:
        """Random bytes, the same for all workers."""
        return bytes(self._view[:_SECRET])

    def times(self, which: int) -> memoryview[float]:
        """The times of a :class:`~rdv.server.limits.sketch.Rate`, which all workers write."""
        begin = PAGESIZE + which * _TIMES_SIZE
        return self._view[begin : begin + _TIMES_SIZE].cast("d")

    def counts(self) -> list[memoryview[int]]:
        """The counts of each worker, which only that worker changes."""
        return [part[PAGESIZE:].cast("Q") for part in self._parts]

    def hiding(self) -> list[memoryview[int]]:
        """The keys of the addresses that each worker treats as proxies; 0 for none."""
        return [part[: HIDING * 8].cast("Q") for part in self._parts]

    def clear(self, worker: int) -> None:
        """Clear the part of a worker that has died."""
        self._parts[worker][:] = bytes(_PART_SIZE)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rdv limits")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _size(workers: int) -> int:
    return _SHARED_SIZE + workers * _PART_SIZE
