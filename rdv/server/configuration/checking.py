"""
What settings name, looked at before a server starts: addresses to listen on, files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rdv.errors import BadSettings, RdvError
from rdv.server.configuration.reading import Configuration
from rdv.server.site.listening import make_endpoints
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings

__all__ = ["refusals"]


def refusals(reactor: Any, configuration: Configuration) -> list[str]:
    """
    What keeps a server with these settings from starting, a line each. Nothing is opened but files,
    so an address that is in use is not found out.
    """
    found = [
        f"{configuration.place(field)}: {text}"
        for field, text in _wrong(reactor, configuration.settings)
    ]
    if not found:
        try:
            RendezvousService(reactor, configuration.settings)  # it reads what it needs
        except BadSettings as error:
            found.extend(error.refusals)
        except RdvError as error:
            found.append(str(error))
    return found


def _wrong(reactor: Any, settings: ServerSettings) -> Iterator[tuple[str, str]]:
    """Each field that cannot be so, and why."""
    for text in settings.listen:
        try:
            make_endpoints(reactor, [text])
        except RdvError as error:
            yield "listen", str(error)
