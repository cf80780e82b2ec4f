"""
The door of a server of its own, as its settings say.
"""

from __future__ import annotations

from typing import Any, Protocol

from rdv.errors import RdvError
from rdv.server.access.bearer import BearerTokens
from rdv.server.access.door import Check, Door, Later, Visitor
from rdv.server.access.networks import AddressLists
from rdv.server.access.token_key import TokenKeys
from rdv.server.lifecycle.reloading import Reload
from rdv.settings import ServerSettings

__all__ = ["make_door"]


class _FromFiles(Protocol):
    def __call__(self, visitor: Visitor) -> Later | None: ...

    def reload(self) -> None: ...


def make_door(reactor: Any, settings: ServerSettings, reloads: list[Reload]) -> Door | None:
    """
    The door that the settings ask for; None when they let everybody in.

    :param reloads: gets what reads files anew.
    :raises RdvError: when a file cannot be read, or what it says makes no sense.
    """
    checks: list[Check] = []

    def add(check: _FromFiles) -> None:
        checks.append(check)
        reloads.append(check.reload)

    if settings.allow or settings.deny:
        add(AddressLists(settings.allow, settings.deny))
    if settings.bearer_file:
        add(BearerTokens(settings.bearer_file))
    if settings.token_key:
        add(TokenKeys(settings.token_key))
    if settings.auth_url:
        # It takes five megabytes, Twisted's HTTP client above all.
        from rdv.server.access.auth_url import AuthURL

        add(
            AuthURL(
                reactor,
                settings.auth_url,
                header_file=settings.auth_header_file,
                passed=settings.auth_pass,
                timeout=settings.auth_timeout,
                keep=settings.auth_cache,
            )
        )
    elif settings.auth_header_file:
        raise RdvError("a file with headers for the auth URL, but no auth URL")
    return Door(checks) if checks else None
