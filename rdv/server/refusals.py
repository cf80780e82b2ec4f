"""
How clients are refused: each with a status and one line for a person.
"""

from __future__ import annotations

__all__ = ["EARLY", "FULL", "NOBODY", "REPLACED", "SHUTDOWN"]

REPLACED = (409, "replaced by another conn")
NOBODY = (408, "no matching peer found")
SHUTDOWN = (503, "shutting down, try again")
EARLY = (400, "bytes before the response")
FULL = (503, "no room for more clients, try again later")
