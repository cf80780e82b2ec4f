"""
Writing to a pipe that perhaps nobody reads, without ever waiting for that.

Whether it blocks is not changed: that would be so for all who have the descriptor.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import IO

__all__ = ["Outlet", "has_room", "write_pieces"]

#: Characters that fit where there is room at all: a pipe has a page (4096 bytes) or none.
_PIECE = 1024


def has_room(file: IO[str], patience: float = 0.0) -> bool:
    """
    Whether ``file`` takes a piece now.

    :param patience: seconds to wait for it.
    """
    try:
        return bool(select.select((), (file,), (), patience)[1])
    except (OSError, TypeError, ValueError):  # it is no file, or closed: writing to it shows
        return True


def write_pieces(file: IO[str], text: str) -> bool:
    """
    Write ``text`` to a file that has room.

    :return: whether it was not cut, as there was not enough.
    """
    for start in range(0, len(text), _PIECE):
        if start and not has_room(file):
            return False
        file.write(text[start : start + _PIECE])
        file.flush()
    return True


class Outlet:
    """
    As much of a text file as a log needs. A line for which there is no room is dropped.

    :param missing: called with how many lines were, when there is room again; may log that.
    """

    def __init__(self, file: IO[str], missing: Callable[[int], object]) -> None:
        self._file = file
        self._missing = missing
        self._skipped = 0
        self._is_cut = False

    def write(self, text: str) -> None:
        """Write a line, with its end, or drop it."""
        if self._skipped and has_room(self._file):
            count, self._skipped = self._skipped, 0
            self._missing(count)
        if not has_room(self._file):
            self._skipped += 1
            return
        with suppress(OSError):
            self._is_cut = not write_pieces(self._file, "\n" * self._is_cut + text)
            self._skipped += self._is_cut

    def flush(self) -> None:
        """Nothing is held back."""
