"""
``rdv connect``: each local connection becomes one to the peer that exposes something.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from rdv._stdio.console import Console
from rdv.client.parsing import parse_server_url
from rdv.commands.client import client_of, headers_of
from rdv.commands.forward import place_of, run_until_stopped
from rdv.commands.status import BadUsage
from rdv.endpoints import RendezvousEndpoint
from rdv.forwarding.forwarder import Forwarder
from rdv.forwarding.places import BadPlace
from rdv.wire import Role, check_token

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Listen, until a signal ends it."""
    console.skips = True
    place = place_of(arguments.listen_at, any_port=True)
    # What would make every forward fail is said at once.
    check_token(arguments.token)
    parse_server_url(arguments.url)
    endpoint = RendezvousEndpoint(
        client_of(reactor, arguments),
        Role.DIALER,
        arguments.url,
        arguments.token,
        timeout=arguments.timeout or None,
        headers=headers_of(arguments),
    )
    forwarder = Forwarder(
        reactor, endpoint, console, most=arguments.most, detailed=arguments.verbose
    )

    async def serve() -> None:
        try:
            port, address = place.listen(reactor, forwarder)
        except BadPlace as error:
            raise BadUsage(str(error)) from error
        try:
            console.tell("listening", f"LISTENING: {address}", address=address)
            await Deferred()  # until a signal cancels it
        finally:
            await maybeDeferred(port.stopListening)

    return await run_until_stopped(reactor, serve, forwarder)
