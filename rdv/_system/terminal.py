"""
What one has to know of a terminal before one reads it, writes text for it, or draws there again and
again.
"""

from __future__ import annotations

import os
import select
import shutil
from contextlib import suppress

__all__ = ["columns", "has_escapes", "is_ours", "may_draw", "page_columns"]

_USUAL_COLUMNS = 80
#: Text that is read line by line tires when they are longer.
_PAGE_COLUMNS = 100


def may_draw(fd: int) -> bool:
    """
    Whether this process is the one that the terminal belongs to now, and the terminal takes
    something: after ^S it does not, and who writes on is stopped sooner or later.
    """
    return is_ours(fd) and bool(select.select((), (fd,), (), 0)[1])


def is_ours(fd: int) -> bool:
    """
    Whether the terminal belongs to this process and its group now: not so in the background. One
    that we were not started from belongs to whoever has it.
    """
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def columns(fd: int) -> int:
    """How wide the terminal is just now."""
    try:
        return os.get_terminal_size(fd).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS


def page_columns(fd: int) -> int:
    """
    How wide to write text for ``fd``: for a terminal as wide as it is, else as a page.
    ``COLUMNS`` comes first, as everywhere.
    """
    if "COLUMNS" not in os.environ:
        with suppress(OSError, ValueError):
            return os.get_terminal_size(fd).columns or _USUAL_COLUMNS
    return shutil.get_terminal_size((_PAGE_COLUMNS, 24)).columns


def has_escapes() -> bool:
    """Whether terminals here know colours, and how to erase a line: not if nobody says so."""
    return os.environ.get("TERM", "dumb") != "dumb"
