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
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings, server_settings

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
    if settings.workers == 1:
        service = RendezvousService(reactor, settings, handle_signals=True)
    else:
        from rdv.server.workers.parent import WorkersService

        service = WorkersService(
            reactor,
            settings,
            settings.workers,
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
    given = {each.field: getattr(arguments, each.field) for each in server_settings()}
    return ServerSettings(**{name: value for name, value in given.items() if value is not None})


def _place(port: IListeningPort) -> str:
    host = port.getHost()
    if isinstance(host, (IPv4Address, IPv6Address)):
        return str(Address(parse_ip(host.host), host.port))
    return str(host)
