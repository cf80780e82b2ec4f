"""
``rdv expose``: peers that dial the token reach one target, and nothing else.
"""

from __future__ import annotations

import argparse
from typing import Any

from rdv._stdio.console import Console
from rdv.commands.client import client_of, headers_of
from rdv.commands.forward import place_of, run_until_stopped
from rdv.commands.news import news_of
from rdv.endpoints import RendezvousServerEndpoint
from rdv.errors import RdvError
from rdv.forwarding.forwarder import Forwarder
from rdv.wire import check_token, token_hint

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Accept again and again, until a signal ends it or the server refuses."""
    console.skips = True
    target = place_of(arguments.target)
    hint = token_hint(check_token(arguments.token))

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
        arguments.url,
        arguments.token,
        headers=headers_of(arguments),
        trouble=tell,
    )

    async def serve() -> None:
        port: Any = await endpoint.listen(forwarder)
        # What is wrong is told as trouble, or it is what this ends with.
        port.waiting.addCallbacks(tell, lambda _: None)
        try:
            await port.stopped
        except RdvError as error:
            if forwarder.running:
                # They have nothing to do with it, and go on to their end.
                going_on = f"{forwarder.running} forwards go on"
                console.warn("trouble", f"TROUBLE: {error}; {going_on}", message=str(error))
                await forwarder.idle()
            raise
        finally:
            await port.stopListening()

    return await run_until_stopped(reactor, serve, forwarder)
