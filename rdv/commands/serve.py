"""
``rdv serve``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from rdv._stdio.console import Console, Form
from rdv._system.descriptors import raise_limit
from rdv._system.pid_file import running
from rdv._system.service_manager import ServiceManager
from rdv.addresses import endpoint_text
from rdv.commands.running import OK, lines_of, log_to
from rdv.errors import BadSettings, RdvError
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

__all__ = ["configuration_of", "replace", "run", "settings_of"]

#: Seconds between two checks of the PID file of a server that is being replaced, and the maximum
#: seconds to wait: the server reports the result within a minute, unless it cannot write the file,
#: or is stopped.
_PAUSE, _PATIENCE = 0.05, 90.0


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Serve until a signal ends it."""
    if arguments.replace is not None:
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
    The settings of a server from the arguments, the environment and the file.

    :raises BadSettings: when they are invalid.
    """
    given = {each.field: getattr(arguments, each.field) for each in server_settings()}
    given = {name: value for name, value in given.items() if value is not None}
    return Configuration(given, os.environ)


def settings_of(arguments: argparse.Namespace) -> ServerSettings:
    """Like :func:`configuration_of`, but only the resulting settings."""
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


async def replace(reactor: Any, path: str, console: Console) -> int:
    """
    Send the signal to the process that ``path`` names, and wait until the file shows the result: it
    is rewritten, by the next generation or, after a failure, by the same one.

    :raises RdvError: when no server is running there, the next generation did not start, or there
        is no result in time.
    """
    before, old = _identity(path), running(path)
    if old is None:
        raise RdvError(f"{path}: no server is running")
    try:
        os.kill(old, signal.SIGUSR2)
    except OSError as error:
        raise RdvError(f"cannot signal process {old}: {error.strerror}") from error
    end = reactor.seconds() + _PATIENCE
    while _identity(path) == before and running(path) is not None:
        if reactor.seconds() >= end:
            raise RdvError(f"process {old} does not report the result: see its log")
        await deferLater(reactor, _PAUSE)
    new = running(path)
    if new is None:
        raise RdvError(f"process {old} has ended")
    if new == old:
        raise RdvError(f"the new generation did not start, and process {old} goes on: see its log")
    console.tell("replaced", f"REPLACED: process {old} by process {new}", old=old, new=new)
    return OK


def _identity(path: str) -> tuple[int, int] | None:
    """The identity of the current file; a rewritten file has another one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
