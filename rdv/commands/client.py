"""
A client as the arguments of a command ask for it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import AddressSpace
from rdv.client import Client, tls_policy
from rdv.commands.status import BadUsage
from rdv.errors import RdvError

__all__ = ["client_of", "headers_of", "spaces_of", "tls_of"]


def client_of(reactor: Any, arguments: argparse.Namespace, **options: Any) -> Client:
    """
    :param options: further ones for the client.
    :raises BadUsage: when an argument makes no sense.
    """
    return Client(
        reactor,
        tls=tls_of(arguments.ca, arguments.cert),
        spaces=AddressSpace.NONE if arguments.relay else spaces_of(arguments.spaces),
        local_port=arguments.local_port,
        penalty=arguments.penalty,
        **options,
    )


def tls_of(ca: str | None, certificate: str | None) -> IPolicyForHTTPS | None:
    """
    What the files named for TLS say; None when there are none.

    :raises BadUsage: when one cannot be read.
    """
    files: dict[str, bytes] = {}
    for use, path in (("ca", ca), ("certificate", certificate)):
        if path is None:
            continue
        try:
            files[use] = Path(path).read_bytes()
            tls_policy(**{use: files[use]})
        except OSError as error:
            raise BadUsage(f"cannot read {path}: {error.strerror}") from error
        except RdvError as error:
            raise BadUsage(f"{path}: {error}") from error
    return tls_policy(**files) if files else None


def headers_of(arguments: argparse.Namespace) -> Headers:
    """
    The headers for the request to the server.

    :raises BadUsage: when one cannot be.
    """
    headers = Headers()
    for line in arguments.header:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise BadUsage(f"not NAME: VALUE: {line!r}")
        try:
            headers.addRawHeader(name.strip(), value.strip())
        except ValueError:
            raise BadUsage(f"not the name of a header: {name!r}") from None
    return headers


def spaces_of(names: str) -> AddressSpace:
    """
    The address spaces of a list of names, separated by commas.

    :raises BadUsage: when one is none.
    """
    spaces = AddressSpace.NONE
    for name in names.split(","):
        try:
            spaces |= AddressSpace[name.strip().upper()]
        except KeyError:
            raise BadUsage(f"not an address space: {name!r}") from None
    return spaces
