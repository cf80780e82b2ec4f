"""
A client as the arguments of a command ask for it.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import AddressSpace
from rdv.client import Client, parsing
from rdv.commands.status import BadUsage

__all__ = ["client_of", "headers_of", "spaces_of", "tls_of"]


def client_of(reactor: Any, arguments: argparse.Namespace, **options: Any) -> Client:
    """
    :param options: further ones for the client.
    :raises BadUsage: when an argument makes no sense.
    """
    return Client(
        reactor,
        tls=tls_of(arguments),
        spaces=AddressSpace.NONE if arguments.relay else spaces_of(arguments),
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
        return parsing.headers_of(arguments.header)
    except ValueError as error:
        raise BadUsage(str(error)) from error


def tls_of(arguments: argparse.Namespace) -> IPolicyForHTTPS | None:
    """
    How an ``https`` server is verified; None for the platform's way.

    :raises BadUsage: when a file cannot be read.
    """
    try:
        return parsing.tls_of(arguments.ca, arguments.cert)
    except ValueError as error:
        raise BadUsage(str(error)) from error


def spaces_of(arguments: argparse.Namespace) -> AddressSpace:
    """
    Of the addresses that are used.

    :raises BadUsage: when one is none.
    """
    try:
        return parsing.spaces_of(arguments.spaces)
    except ValueError as error:
        raise BadUsage(str(error)) from error
