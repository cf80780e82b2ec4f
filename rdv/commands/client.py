"""
A client as the arguments of a command ask for it.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.web.http_headers import Headers

from rdv.addresses import AddressSpace
from rdv.client import Client, texts
from rdv.commands.status import BadUsage

__all__ = ["client_of", "headers_of"]


def client_of(reactor: Any, arguments: argparse.Namespace, **options: Any) -> Client:
    """
    :param options: further ones for the client.
    :raises BadUsage: when an argument makes no sense.
    """
    try:
        tls = texts.tls_of(arguments.ca, arguments.cert)
        spaces = AddressSpace.NONE if arguments.relay else texts.spaces_of(arguments.spaces)
    except ValueError as error:
        raise BadUsage(str(error)) from error
    return Client(
        reactor,
        tls=tls,
        spaces=spaces,
        local_port=arguments.local_port,
        penalty=arguments.penalty,
        **options,
    )


def headers_of(arguments: argparse.Namespace) -> Headers:
    """
    The headers for the request to the server.

    :raises BadUsage: when one cannot be.
    """
    try:
        return texts.headers_of(arguments.header)
    except ValueError as error:
        raise BadUsage(str(error)) from error
