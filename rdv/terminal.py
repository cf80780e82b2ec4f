"""
What one has to know of a terminal before something is drawn there again and again.
"""

from __future__ import annotations

import os
import select

__all__ = ["columns", "may_draw"]

_USUAL_COLUMNS = 80


def may_draw(fd: int) -> bool:
    """
    Whether this process is the one that the terminal belongs to now, and the terminal takes
    something: after ^S it does not, and who writes on is stopped sooner or later.
    """
    try:
        if os.tcgetpgrp(fd) != os.getpgrp():
            return False
    except OSError:
        pass  # not the terminal that we were started from
    return bool(select.select((), (fd,), (), 0)[1])


def columns(fd: int) -> int:
    """How wide the terminal is just now."""
    try:
        return os.get_terminal_size(fd).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS
