"""
The memory in which the counts of one process or several are kept.

What all of them write comes first, then a part for each worker, which it alone writes. Pages that
nobody has touched cost nothing.
"""

from __future__ import annotations

import os
import tempfile
from mmap import PAGESIZE, mmap

from rdv.server.limits.sketch import SLOTS

__all__ = ["HIDING", "RATES", "Memory"]

#: How many rates there are.
RATES = 3
#: How many addresses a worker can say of that they are a proxy's.
HIDING = 4

_SECRET = 32
_COUNTS_SIZE = SLOTS * 8
_TIMES_SIZE = SLOTS * 8
_SHARED_SIZE = PAGESIZE + RATES * _TIMES_SIZE
_PART_SIZE = PAGESIZE + _COUNTS_SIZE


class Memory:
    """
    For so many workers.

    :param own: which worker this is.
    :param descriptor: that of what :meth:`to_share` has made in another process, for the caller to
        close; None for memory that nobody else has.
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
        Make some that other processes can have as well.

        :return: it, and its descriptor, which they inherit.
        :raises OSError: when it cannot be had.
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
        """What is counted in each worker, which alone writes it."""
        return [part[PAGESIZE:].cast("Q") for part in self._parts]

    def hiding(self) -> list[memoryview[int]]:
        """Which addresses each worker takes for those of proxies; 0 for none."""
        return [part[: HIDING * 8].cast("Q") for part in self._parts]

    def clear(self, worker: int) -> None:
        """Forget what a worker has counted that is dead."""
        self._parts[worker][:] = bytes(_PART_SIZE)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rdv limits")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _size(workers: int) -> int:
    return _SHARED_SIZE + workers * _PART_SIZE
