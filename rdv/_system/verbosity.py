"""
Which events of the log are shown.

A library cannot know, so it emits all of them, unless the program says which it shows. rdv's own
programs show those of a certain level and above, and need not create the others. Only code with an
event for each client has to check this.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import InvalidLogLevelError, LogLevel

__all__ = ["is_shown", "show_from"]

#: Names of levels.
_hidden: set[str] = set()


def show_from(level: Any) -> None:
    """
    Declare that this process shows no events below a level. Events about clients and pairs are then
    not even created, which saves a good part of the CPU time of a rendezvous. A library cannot
    know, so all are created by default. The last call counts; ``debug`` is the default.

    :param level: a level of ``twisted.logger``, such as ``LogLevel.info``, or its name.
    :raises ValueError: when there is none of that name.
    """
    name = getattr(level, "name", level)
    try:
        lowest = LogLevel.levelWithName(name)
    except InvalidLogLevelError:
        known = ", ".join(each.name for each in LogLevel.iterconstants())
        raise ValueError(f"no log level {name!r}: use one of {known}") from None
    _hidden.clear()
    _hidden.update(each.name for each in LogLevel.iterconstants() if each < lowest)


def is_shown(level: str) -> bool:
    """Whether an event of the level of that name may be shown."""
    return level not in _hidden
