"""
``rdv connect``: each local connection becomes one to the peer that exposes a target; and
``rdv expose``: peers that dial the token reach one target, and nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater

from rdv._secure.secret import server_token
from rdv._stdio.console import Console
from rdv._system.descriptors import raise_limit
from rdv.commands.client import client_of, headers_of, news_of, servers_of, trouble_of
from rdv.commands.meeting import settle
from rdv.commands.running import OK, until_signal
from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.errors import RdvError
from rdv.forwarding.forwarder import Forwarder
from rdv.forwarding.places import parse_place
from rdv.wire import Role, token_hint

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Forward, until a signal ends it or the server refuses."""
    console.never_wait()
    prepare = _connect if arguments.command == "connect" else _expose
    forwarder, serve = prepare(reactor, arguments, console)

    async def begin() -> None:
        # Signals are only handled then, and the socket file is removed in any case.
        await deferLater(reactor, 0)
        await serve()

    raise_limit(reactor)
    try:
        await until_signal(reactor, begin())
    finally:
        await forwarder.close()  # resets the remaining connections
    return OK


#: Passes connections to a forwarder until it fails, or is cancelled.
_Serve = Callable[[], Coroutine[Any, Any, None]]


def _connect(
    reactor: Any, arguments: argparse.Namespace, console: Console
) -> tuple[Forwarder, _Serve]:
    place = parse_place(arguments.listen_at, any_port=True)
    settle(arguments, console)
    endpoint = RendezvousEndpoint(
        client_of(reactor, arguments),
        Role.DIALER,
        servers_of(arguments),
        arguments.token,
        timeout=arguments.timeout or None,
        headers=headers_of(arguments),
        trouble=trouble_of(console, "dialling", arguments.url),
    )
    forwarder = Forwarder(
        reactor, endpoint, console, most=arguments.most, detailed=arguments.verbose
    )

    async def serve() -> None:
        port, address = place.listen(reactor, forwarder)
        try:
            console.tell("listening", f"LISTENING: {address}", address=address)
            await Deferred()  # until a signal cancels it
        finally:
            await maybeDeferred(port.stopListening)

    return forwarder, serve


def _expose(
    reactor: Any, arguments: argparse.Namespace, console: Console
) -> tuple[Forwarder, _Serve]:
    target = parse_place(arguments.target)
    settle(arguments, console)
    hint = token_hint(server_token(arguments.token))
    waiting = f"WAITING: {target} is exposed at {arguments.url}, token {hint}"
    tell = news_of(console, waiting, arguments.url, target=str(target))
    forwarder = Forwarder(
        reactor,
        target.endpoint(reactor),
        console,
        target=str(target),
        most=arguments.most,
        detailed=arguments.verbose,
    )
    endpoint = RendezvousServerEndpoint(
        client_of(reactor, arguments),
        servers_of(arguments),
        arguments.token,
        headers=headers_of(arguments),
        trouble=tell,
    )

    async def serve() -> None:
        port: Any = await endpoint.listen(forwarder)
        # The problem is reported as trouble, or is the error with which this ends.
        port.waiting.addCallbacks(tell, lambda _: None)
        try:
            await port.stopped
        except RdvError as error:
            if forwarder.running:
                # They are not affected, and continue to their end.
                going_on = f"{forwarder.running} forwards continue"
                console.warn("trouble", f"TROUBLE: {error}; {going_on}", message=str(error))
                await forwarder.idle()
            raise
        finally:
            await port.stopListening()

    return forwarder, serve
