"""
``rdv serve``.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort

from rdv._stdio.console import Console, Form
from rdv._system.descriptors import raise_limit
from rdv._system.service_manager import ServiceManager
from rdv.addresses import endpoint_text
from rdv.commands.running import OK, lines_of, log_to
from rdv.errors import BadSettings
from rdv.server.configuration.checking import refusals, warnings
from rdv.server.configuration.reading import Configuration
from rdv.server.generations.heritage import take_heritage
from rdv.server.lifecycle.supervision import supervise
from rdv.server.logs.addresses import Masking
from rdv.server.logs.observers import ACCESS, JSON, TEXT, log_outlet, observer
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings, server_settings

if TYPE_CHECKING:
    from rdv.server.workers.parent import WorkersService

__all__ = ["configuration_of", "run", "settings_of"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Serve until a signal ends it."""
    if arguments.replace is not None:
        from rdv.commands.replacing import replace

        return await replace(reactor, arguments.replace, console)
    configuration = configuration_of(arguments)
    if arguments.check_config:
        return _check(reactor, configuration, console)
    console.never_wait()
    settings = configuration.settings
    masking = Masking(settings.log_addresses)
    level = _log(settings, console, masking, arguments.verbose)
    raise_limit(reactor)
    service: RendezvousService | WorkersService
    if settings.workers == 1:
        service = RendezvousService(
            reactor, settings, handle_signals=True, heritage=take_heritage(os.environ)
        )
    else:
        from rdv.server.workers.parent import WorkersService

        service = WorkersService(
            reactor,
            settings,
            settings.workers,
            level=level,
            handle_signals=True,
            heritage=take_heritage(os.environ),
        )
    service.reloads.insert(0, partial(configuration.reload, service.use, masking.use))
    supervise(reactor, service, ServiceManager(os.environ))
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    await service.ready  # so that its signal handlers are there
    for port in service.ports:
        console.tell("listening", f"LISTENING: {_place(port)}", address=_place(port))
    await service.failed  # unless a signal stops the reactor before that
    return OK


def _log(settings: ServerSettings, console: Console, masking: Masking, verbose: bool) -> str:
    """
    Log as ``settings`` want it.

    :return: the name of the level from which on. Who asks for a form wants to see pairs.
    """
    level = "debug" if verbose else "info" if settings.log_format else "critical"
    form = settings.log_format or (JSON if console.form is Form.JSON else TEXT)
    lines = lines_of(console)
    if form == JSON:
        console.form = Form.JSON
    file = log_outlet(sys.stdout) if form == ACCESS else lines
    log_to(observer(form, masking, file, lines), level)
    return level


def configuration_of(arguments: argparse.Namespace) -> Configuration:
    """
    What the arguments, the environment and the file say to a server.

    :raises BadSettings: when it cannot be.
    """
    given = {each.field: getattr(arguments, each.field) for each in server_settings()}
    given = {name: value for name, value in given.items() if value is not None}
    return Configuration(given, os.environ)


def settings_of(arguments: argparse.Namespace) -> ServerSettings:
    """As :func:`configuration_of`, what holds."""
    return configuration_of(arguments).settings


def _check(reactor: Any, configuration: Configuration, console: Console) -> int:
    if found := refusals(reactor, configuration):
        raise BadSettings(found)
    for text in warnings(configuration):
        console.warn("warning", f"WARNING: {text}")
    console.tell("checked", "OK")
    return OK


def _place(port: IListeningPort) -> str:
    host = port.getHost()
    if isinstance(host, (IPv4Address, IPv6Address)):
        return endpoint_text(host.host, host.port)
    return str(host)
