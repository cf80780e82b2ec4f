"""
``rdv serve``.
"""

from __future__ import annotations

import argparse
import gc
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort

from rdv._stdio.console import Console
from rdv._system.descriptors import raise_limit
from rdv.addresses import Address, parse_ip
from rdv.commands.running import OK, log_level
from rdv.server.site.service import RendezvousService, ServerSettings

if TYPE_CHECKING:
    from rdv.server.workers.parent import WorkersService

__all__ = ["run", "settings_of"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Serve until a signal ends it."""
    console.never_wait()
    raise_limit(reactor)
    gc.freeze()  # what is loaded stays to the end
    settings = settings_of(arguments)
    service: RendezvousService | WorkersService
    if arguments.workers == 1:
        service = RendezvousService(reactor, settings, handle_signals=True)
    else:
        from rdv.server.workers.parent import WorkersService

        service = WorkersService(
            reactor,
            settings,
            arguments.workers,
            level=log_level(arguments.verbose),
            handle_signals=True,
        )
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    await service.ready  # so that its signal handlers are there
    for port in service.ports:
        console.tell("listening", f"LISTENING: {_place(port)}", address=_place(port))
    await Deferred()  # until a signal stops the reactor
    return OK


def settings_of(arguments: argparse.Namespace) -> ServerSettings:
    """What the arguments say to a server."""
    return ServerSettings(
        listen=arguments.listen or ("8080",),
        path=arguments.path,
        lobby_timeout=arguments.lobby_timeout,
        handshake_timeout=arguments.handshake_timeout,
        idle_timeout=arguments.idle_timeout,
        align=arguments.align,
        drain=arguments.drain,
        observed_header=arguments.observed_header,
        observed_port_header=arguments.observed_port_header,
    )


def _place(port: IListeningPort) -> str:
    host = port.getHost()
    if isinstance(host, (IPv4Address, IPv6Address)):
        return str(Address(parse_ip(host.host), host.port))
    return str(host)
