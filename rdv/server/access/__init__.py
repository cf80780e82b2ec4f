"""
Who may use a server of its own, as its settings say: checks for its door.

Each is an object that is called with a :class:`~rdv.server.door.Visitor`. What it needs it has read
from files when it was made, and ``reload()`` reads it anew, or raises an
:class:`~rdv.errors.RdvError` with one line and keeps what it had. Cheap ones are asked first. A
client that is refused is told what it can do, and nothing of who else is let in. Whatever it has
sent is compared in constant time; neither that nor what a file holds is in a log or an error.
"""

from __future__ import annotations

from rdv.server.access.token_key import TokenKeys
from rdv.server.door import Check, Door
from rdv.server.reloading import Reload
from rdv.settings import ServerSettings

__all__ = ["make_door"]


def make_door(settings: ServerSettings, reloads: list[Reload]) -> Door | None:
    """
    The door that the settings ask for; None when they let everybody in.

    :param reloads: gets what reads files anew.
    :raises RdvError: when a file cannot be read, or what it says makes no sense.
    """
    checks: list[Check] = []
    if settings.token_key:
        keys = TokenKeys(settings.token_key)
        checks.append(keys)
        reloads.append(keys.reload)
    return Door(checks) if checks else None
