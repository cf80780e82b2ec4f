"""
Which events of the log are shown.

A library cannot know, so it emits all of them. rdv's own programs show those of a certain level and
above, and need not create the others. To be checked where there is an event for each client.
"""

from __future__ import annotations

from twisted.logger import LogLevel

__all__ = ["is_shown", "show_from"]

#: Names of levels.
_hidden: set[str] = set()


def show_from(level: str) -> None:
    """From now on, hide events below the level of that name in this process."""
    lowest = LogLevel.levelWithName(level)
    _hidden.clear()
    _hidden.update(each.name for each in LogLevel.iterconstants() if each < lowest)


def is_shown(level: str) -> bool:
    """Whether an event of the level of that name may be shown."""
    return level not in _hidden
