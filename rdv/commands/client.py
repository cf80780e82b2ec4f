"""
Creates the client that a command's arguments ask for, and reports whether its server lets the
command wait.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv._stdio.console import Console
from rdv.addresses import AddressSpace
from rdv.client import Client, Servers, parsing
from rdv.client.servers.urls import split_servers
from rdv.commands.proxies import proxy_for_all
from rdv.commands.running import BadUsage
from rdv.endpoints.retry import Tell
from rdv.errors import RdvError

__all__ = ["client_of", "headers_of", "news_of", "servers_of", "spaces_of", "tls_of", "trouble_of"]

T = TypeVar("T")


def client_of(reactor: Any, arguments: argparse.Namespace, **options: Any) -> Client:
    """
    :param options: further options for the client.
    :raises BadUsage: when an argument is invalid.
    """
    if arguments.local_port and not isinstance(servers_of(arguments), str):
        raise BadUsage("--local-port: this works with a single server only")
    return Client(
        reactor,
        tls=tls_of(arguments),
        spaces=spaces_of(arguments),
        local_port=arguments.local_port,
        penalty=arguments.penalty,
        proxy=proxy_for_all(arguments.url, arguments.proxy),
        secure=arguments.secure or None,
        move=arguments.move,
        **options,
    )


def servers_of(arguments: argparse.Namespace) -> Servers:
    """The server, or several, in the form for a client."""
    servers = split_servers(arguments.url)
    return servers if len(servers) > 1 else servers[0]


def headers_of(arguments: argparse.Namespace) -> Headers:
    """The headers for the request to the server; see :func:`client_of`."""
    lines = [line for path in arguments.header_file for line in _header_lines(path)]
    return _read(parsing.headers_of, [*arguments.header, *lines])


def _header_lines(path: str) -> list[str]:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError as error:
        raise BadUsage(f"cannot read {path}: {error.strerror}") from error
    except UnicodeError:
        raise BadUsage(f"cannot read {path}: not UTF-8") from None
    given = {number: line for number, line in enumerate(lines, 1) if line.strip()}
    for number, line in given.items():
        try:
            parsing.headers_of([line])
        except ValueError:  # its text repeats the line, and this one may be a password
            raise BadUsage(f"{path}, line {number}: not NAME: VALUE") from None
    return list(given.values())


def tls_of(arguments: argparse.Namespace) -> IPolicyForHTTPS | None:
    """How to verify an ``https`` server; None for the platform's roots. See :func:`client_of`."""
    return _read(parsing.tls_of, arguments.ca, arguments.cert)


def spaces_of(arguments: argparse.Namespace) -> AddressSpace:
    """The spaces of the addresses that are used; see :func:`client_of`."""
    return AddressSpace.NONE if arguments.relay else _read(parsing.spaces_of, arguments.spaces)


def _read(convert: Callable[..., T], *values: object) -> T:
    try:
        return convert(*values)
    except ValueError as error:
        raise BadUsage(str(error)) from error


def news_of(console: Console, waiting: str, url: str, **fields: object) -> Tell:
    """
    Reports when the server lets us wait, and trouble like :func:`trouble_of`.

    :param waiting: the text for a human when the server first lets us wait.
    :param url: of the server.
    :param fields: additional fields for a program at that time.
    """
    waited = False
    trouble = trouble_of(console, "waiting", url)

    def tell(error: RdvError | None) -> None:
        nonlocal waited
        if error is not None or waited:
            trouble(error)
        else:
            waited = True
            console.tell("waiting", waiting, url=url, **fields)

    return tell


def trouble_of(console: Console, doing: str, url: str) -> Tell:
    """
    Reports trouble with the server or the peers there, and its end.

    :param doing: what we do at the server, when it is over.
    :param url: of the server.
    """

    def tell(error: RdvError | None) -> None:
        if error is not None:
            console.warn("trouble", f"TROUBLE: {error}", message=str(error))
        else:
            console.warn("back", f"BACK: {doing} at {url} again", url=url)

    return tell
