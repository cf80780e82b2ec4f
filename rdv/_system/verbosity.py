"""
Which events of the log somebody gets to see.

A library cannot know, so it tells all of them. A program of ours shows those of some level and
above, and need not make the others. To be asked where there is an event for each client.
"""

from __future__ import annotations

from twisted.logger import LogLevel

__all__ = ["is_shown", "show_from"]

#: Names of levels.
_hidden: set[str] = set()


def show_from(level: str) -> None:
    """From now on nobody in this process sees what is below the level of that name."""
    lowest = LogLevel.levelWithName(level)
    _hidden.clear()
    _hidden.update(each.name for each in LogLevel.iterconstants() if each < lowest)


def is_shown(level: str) -> bool:
    """Whether somebody may see an event of the level of that name."""
    return level not in _hidden
