"""
The door of a standalone server, made from its settings.
"""

from __future__ import annotations

from typing import Any, Protocol

from rdv.errors import RdvError
from rdv.server.access.bearer import BearerTokens
from rdv.server.access.door import Door, Later, Visitor
from rdv.server.access.networks import AddressLists
from rdv.server.access.token_key import TokenKeys
from rdv.settings import ACCESS, ServerSettings, server_settings

__all__ = ["ServerDoor"]

_FIELDS = [each.field for each in server_settings() if each.group == ACCESS]


class _FromFiles(Protocol):
    def __call__(self, visitor: Visitor) -> Later | None: ...

    def reload(self) -> None: ...


class ServerDoor(Door):
    """
    The door that the settings ask for. Without any check it admits everybody.

    :raises RdvError: when a file cannot be read, or has invalid contents.
    """

    def __init__(self, reactor: Any, settings: ServerSettings) -> None:
        self._reactor = reactor
        self._settings = ServerSettings()
        self._from_files: list[_FromFiles] = []
        super().__init__(())
        self.use(settings)

    def use(self, settings: ServerSettings) -> None:
        """
        Apply other settings.

        :raises RdvError: as the constructor does; then nothing has changed.
        """
        if any(getattr(settings, name) != getattr(self._settings, name) for name in _FIELDS):
            self._from_files = _make_checks(self._reactor, settings)
            self.checks = tuple(self._from_files)
        self._settings = settings

    def reload(self) -> None:
        """
        Let each check read its files again.

        :raises RdvError: when one fails. That check keeps its old contents; the others have the new
            ones.
        """
        refusals = []
        for check in self._from_files:
            try:
                check.reload()
            except RdvError as error:
                refusals.append(str(error))
        if refusals:
            raise RdvError("; ".join(refusals))


def _make_checks(reactor: Any, settings: ServerSettings) -> list[_FromFiles]:
    checks: list[_FromFiles] = []
    if settings.allow or settings.deny:
        checks.append(AddressLists(settings.allow, settings.deny))
    if settings.bearer_file:
        checks.append(BearerTokens(settings.bearer_file))
    if settings.token_key:
        checks.append(TokenKeys(settings.token_key))
    if settings.auth_url:
        # Importing it takes 5 MB of memory, mostly for Twisted's HTTP client.
        from rdv.server.access.auth_url import AuthURL

        checks.append(
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
        raise RdvError("headers for the auth URL, but no auth URL")
    return checks
