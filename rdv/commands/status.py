"""
How a command ends.
"""

from __future__ import annotations

from rdv.errors import BadEndpoint, BadToken, BadURL, RdvError

__all__ = ["BROKEN", "INTERRUPTED", "NO_CONNECTION", "OK", "USAGE", "BadUsage", "status_of"]

#: Exit statuses; a signal's is 128 and its number.
OK, NO_CONNECTION, USAGE, BROKEN = 0, 1, 2, 3
#: That of SIGINT.
INTERRUPTED = 130


class BadUsage(RdvError):
    """An argument that makes no sense."""


def status_of(error: RdvError) -> int:
    """The status of a command that an error has ended."""
    return USAGE if isinstance(error, (BadEndpoint, BadToken, BadURL, BadUsage)) else NO_CONNECTION
