"""
Terminals, and pipes that may have no reader: what must be known about them before reading, writing
or drawing, so that the process never blocks.

The blocking mode of a descriptor is not changed: that would affect all processes that share it.
"""

from __future__ import annotations

import os
import select
import shutil
from contextlib import suppress

TYPE_CHECKING = False  # importing that of typing takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

__all__ = [
    "Outlet",
    "columns",
    "has_escapes",
    "has_room",
    "is_ours",
    "may_draw",
    "page_columns",
]

_USUAL_COLUMNS = 80
#: For running text, which is hard to read in longer lines.
_PAGE_COLUMNS = 100
#: Characters that fit wherever there is room: a pipe has room for a page (4096 bytes) or for none.
_PIECE = 1024


def may_draw(fd: int) -> bool:
    """
    Whether the terminal belongs to this process now, and accepts output: after ^S it does not, and
    writing blocks sooner or later.
    """
    return is_ours(fd) and has_room(fd)


def is_ours(fd: int) -> bool:
    """
    Whether this process is in the foreground of the terminal. Always true for a terminal other than
    the one that controls this process, and for a descriptor that is not a terminal.
    """
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def columns(fd: int) -> int:
    """The current width of the terminal."""
    try:
        return os.get_terminal_size(fd).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS


def page_columns(fd: int) -> int:
    """
    The width of text for ``fd``: that of the terminal, otherwise that of a page. ``COLUMNS`` takes
    precedence, as usual.
    """
    if "COLUMNS" not in os.environ:
        with suppress(OSError, ValueError):
            return os.get_terminal_size(fd).columns or _USUAL_COLUMNS
    return shutil.get_terminal_size((_PAGE_COLUMNS, 24)).columns


def has_escapes() -> bool:
    """Whether the terminal is known to support colours and erasing a line."""
    return os.environ.get("TERM", "dumb") != "dumb"


def has_room(file: IO[str] | int, patience: float = 0.0) -> bool:
    """
    Whether something could be written to ``file`` now. Also true for a pipe without a reader, a
    closed file, or no file at all: writing shows what is wrong.

    :param patience: seconds to wait for it.
    """
    try:
        return bool(select.select((), (file,), (), patience)[1])
    except (OSError, TypeError, ValueError):
        return True


class Outlet:
    """
    The part of a text file that a log needs. A line for which there is no room is dropped.

    :param missing: called with the number of dropped lines, when there is room again; may log that.
    """

    def __init__(self, file: IO[str], missing: Callable[[int], object]) -> None:
        self._file = file
        self._missing = missing
        self._skipped = 0
        self._is_cut = False

    def write(self, text: str, patience: float = 0.0) -> None:
        """
        Write a line, with its end, or drop it.

        :param patience: seconds to wait for room.
        """
        room = has_room(self._file, patience)
        if room and self._skipped:
            count, self._skipped = self._skipped, 0
            self._missing(count)
            room = has_room(self._file)
        if not room:
            self._skipped += 1
            return
        with suppress(OSError):
            self._is_cut = not self._write_pieces("\n" * self._is_cut + text)
            self._skipped += self._is_cut

    def _write_pieces(self, text: str) -> bool:
        """Whether there was room for all of it."""
        for start in range(0, len(text), _PIECE):
            if start and not has_room(self._file):
                return False
            self._file.write(text[start : start + _PIECE])
            self._file.flush()
        return True

    def flush(self) -> None:
        """Nothing is held back."""
