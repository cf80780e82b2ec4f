"""
Which events of the log are shown.

A library cannot know, so it emits all of them, unless the program says which it shows. rdv's own
programs show those of a certain level and above, and need not create the others. Only code with an
event for each client has to check this.
"""

from __future__ import annotations

from twisted.logger import LogLevel

__all__ = ["is_shown", "show_from"]

#: Names of levels.
_hidden: set[str] = set()


def show_from(level: str) -> None:
    """
    Declare that this process shows no events below a level. Events about clients and pairs are then
    not even created, which saves a good part of the CPU time of a rendezvous. A library cannot
    know, so all are created by default. The last call counts; ``debug`` is the default.

    :param level: the name of a level of ``twisted.logger``, such as ``info``.
    :raises InvalidLogLevelError: when there is none of that name.
    """
    lowest = LogLevel.levelWithName(level)
    _hidden.clear()
    _hidden.update(each.name for each in LogLevel.iterconstants() if each < lowest)


def is_shown(level: str) -> bool:
    """Whether an event of the level of that name may be shown."""
    return level not in _hidden
