"""
How a command ends.
"""

from __future__ import annotations

from rdv.errors import RdvError

__all__ = ["BROKEN", "NO_CONNECTION", "OK", "USAGE", "BadUsage"]

#: Exit statuses; a signal's is 128 and its number.
OK, NO_CONNECTION, USAGE, BROKEN = 0, 1, 2, 3


class BadUsage(RdvError):
    """An argument that makes no sense."""
