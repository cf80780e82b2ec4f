"""
``rdv check``: what kind of network this is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rdv._secure.secret import server_token
from rdv._stdio.console import Console, Form
from rdv._system.terminal import page_columns
from rdv.addresses import AddressSpace
from rdv.check import Observations, findings, verdict
from rdv.check.probes import Probes
from rdv.check.report import as_json, as_text
from rdv.client.servers.urls import split_servers
from rdv.commands.client import headers_of, spaces_of, tls_of
from rdv.commands.meeting import token_in
from rdv.commands.proxies import proxy_for
from rdv.commands.running import NO_CONNECTION, OK, BadUsage, until_signal
from rdv.errors import RdvError
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Check, and write the report to stdout."""
    seen = await until_signal(reactor, _check(reactor, arguments, console))
    found, concluded = findings(seen), verdict(seen)
    as_form = as_text(found, concluded, page_columns(1))
    if console.form is Form.JSON:
        as_form = as_json(seen, found, concluded)
    _say(as_form)
    return OK if concluded.usable else NO_CONNECTION


def _say(text: str) -> None:
    """
    Write to stdout, in characters that it supports.

    :raises RdvError: when it cannot be written: no room, no reader.
    """
    encoded = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    try:
        # Nothing may stay in a buffer, because the interpreter would try to write it again.
        with open(sys.stdout.fileno(), "wb", closefd=False) as stdout:
            stdout.write(encoded)
    except OSError as error:
        raise RdvError(f"cannot write to stdout: {error.strerror}") from error


async def _check(reactor: Any, arguments: argparse.Namespace, console: Console) -> Observations:
    def progress(what: str) -> None:
        console.tell("checking", f"checking: {what}", what=what)

    async with _server(reactor, arguments.url) as url:
        spaces = spaces_of(arguments)
        probes = Probes(
            reactor,
            url,
            shown=arguments.url,
            headers=headers_of(arguments),
            tls=tls_of(arguments),
            spaces=spaces | AddressSpace.LOOPBACK if spaces and not arguments.url else spaces,
            timeout=arguments.timeout,
            throughput=arguments.throughput,
            progress=progress,
            proxy=proxy_for(arguments.url, arguments.proxy),
            token=server_token(token_in(arguments.token_file)) if arguments.token_file else None,
        )
        return await probes.run()


@asynccontextmanager
async def _server(reactor: Any, url: str | None) -> AsyncIterator[str]:
    """The URL of the server to examine; by default, of our own."""
    if url is not None:
        if len(split_servers(url)) > 1:
            raise BadUsage("rdv check takes a single server: run it once per server")
        yield url
        return
    service = RendezvousService(reactor, ServerSettings(listen=("127.0.0.1:0",)))
    service.startService()
    try:
        yield f"http://127.0.0.1:{service.ports[0].getHost().port}/"  # type: ignore[attr-defined]
    finally:
        await service.stopService()
