"""
Checks what settings refer to before a server starts: addresses to listen on, files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rdv._text import visible
from rdv.errors import BadSettings, RdvError
from rdv.server.configuration.reading import Configuration
from rdv.server.site.certificate import make_certificate
from rdv.server.site.listening import make_endpoints
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings

__all__ = ["refusals", "warnings"]


def refusals(reactor: Any, configuration: Configuration) -> list[str]:
    """
    The reasons why a server with these settings cannot start, one line each. Only files are opened,
    so an address that is in use is not detected. Sockets that systemd passes to the server are not
    passed to the process that checks.
    """
    settings = _without_passed(configuration.settings)
    found = [f"{configuration.place(field)}: {text}" for field, text in _wrong(reactor, settings)]
    if not found:
        try:
            RendezvousService(reactor, settings)  # its constructor reads all files
        except BadSettings as error:
            found.extend(error.refusals)
        except RdvError as error:
            found.append(str(error))
    return [visible(line) for line in found]


def warnings(configuration: Configuration) -> list[str]:
    """Warnings about settings that work. Only for settings that are not refused."""
    certificate = make_certificate(configuration.settings)
    return certificate.warnings() if certificate is not None else []


def _without_passed(settings: ServerSettings) -> ServerSettings:
    """The same settings with any port in place of a socket from systemd."""
    listen, tls = (
        tuple("0" if "systemd:" in text else text for text in texts)
        for texts in (settings.listen, settings.tls)
    )
    return replace(settings, listen=listen, tls=tls)


def _wrong(reactor: Any, settings: ServerSettings) -> Iterator[tuple[str, str]]:
    """Each invalid field, and why it is invalid."""
    certificate = None
    try:
        certificate = make_certificate(settings)
    # a missing setting has no place in the configuration; the service reports it
    except BadSettings:
        pass
    except RdvError as error:
        yield "cert", str(error)
    for field, texts, tls in (
        ("listen", settings.listen, None),
        ("tls", settings.tls, certificate),
    ):
        for text in texts:
            try:
                make_endpoints(reactor, [text], tls)
            except RdvError as error:
                yield field, str(error)
