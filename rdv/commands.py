"""
What the ``rdv`` command does, once its arguments are read and Twisted is there.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import react
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace, parse_ip
from rdv.errors import BadToken, BadURL, RdvError

if TYPE_CHECKING:
    from rdv.server.workers import WorkersService

__all__ = ["BROKEN", "NO_CONNECTION", "OK", "USAGE", "run"]

#: Exit statuses; a signal's is 128 and its number.
OK, NO_CONNECTION, USAGE, BROKEN = 0, 1, 2, 3

T = TypeVar("T")


class BadUsage(RdvError):
    """An argument that makes no sense."""


def run(arguments: argparse.Namespace) -> int:
    """
    Run the command that was chosen.

    :return: the exit status.
    """
    _begin_logging(arguments.verbose)
    try:
        react(lambda reactor: Deferred.fromCoroutine(_exit_with_status(reactor, arguments)))
    except SystemExit as end:
        return int(end.code or 0)
    return OK


async def _exit_with_status(reactor: Any, arguments: argparse.Namespace) -> None:
    commands: dict[str, Callable[[Any, argparse.Namespace], Coroutine[Any, Any, int]]] = {
        "serve": _serve,
        "dial": _stream,
        "accept": _stream,
        "demo": _demo,
    }
    try:
        status = await commands[arguments.command](reactor, arguments)
    except RdvError as error:
        say(str(error))
        status = USAGE if isinstance(error, (BadToken, BadURL, BadUsage)) else NO_CONNECTION
    raise SystemExit(status)


def say(text: str) -> None:
    """One line on stderr."""
    with suppress(OSError):  # nobody may be reading it
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _begin_logging(verbose: bool) -> None:
    level = LogLevel.levelWithName(_log_level(verbose))
    observer = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(defaultLogLevel=level)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def _log_level(verbose: bool) -> str:
    return "debug" if verbose else "critical"


def _keep_what_is_loaded() -> None:
    """
    Modules live to the end. That the collector need not go through them shortens its pauses, and
    the end of the process by a good part of what loading them took.
    """
    gc.freeze()


async def _serve(reactor: Any, arguments: argparse.Namespace) -> int:
    from rdv.descriptors import raise_limit
    from rdv.server.service import RendezvousService, ServerSettings

    raise_limit(reactor)
    _keep_what_is_loaded()
    settings = ServerSettings(
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
    service: RendezvousService | WorkersService
    if arguments.workers == 1:
        service = RendezvousService(reactor, settings, handle_signals=True)
    else:
        from rdv.server.workers import WorkersService

        service = WorkersService(
            reactor,
            settings,
            arguments.workers,
            level=_log_level(arguments.verbose),
            handle_signals=True,
        )
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    await service.ready  # so that its signal handlers are there
    _announce(service.ports)
    await Deferred()  # until a signal stops the reactor
    return OK


def _announce(ports: list[IListeningPort]) -> None:
    for port in ports:
        host = port.getHost()
        if isinstance(host, (IPv4Address, IPv6Address)):
            say(f"LISTENING: {Address(parse_ip(host.host), host.port)}")
        else:
            say(f"LISTENING: {host}")


async def _stream(reactor: Any, arguments: argparse.Namespace) -> int:
    """Dial or accept, and join the connection with stdin and stdout."""
    from rdv.client import Client
    from rdv.stream import StreamBroken, stream

    _keep_what_is_loaded()
    client = Client(
        reactor,
        tls=_tls(arguments.ca, arguments.cert),
        spaces=AddressSpace.NONE if arguments.relay else _spaces(arguments.spaces),
        local_port=arguments.local_port,
        penalty=arguments.penalty,
    )
    connect = client.dial if arguments.command == "dial" else client.accept
    connecting = connect(
        arguments.url,
        arguments.token,
        timeout=arguments.timeout or None,
        headers=_headers(arguments.header),
    )
    interruption = _Interruption(reactor)
    try:
        await interruption.cancels(Deferred.fromCoroutine(stream(reactor, connecting, say)))
    except (CancelledError, RdvError) as error:
        if interruption.status is not None:
            return interruption.status
        if not isinstance(error, StreamBroken):
            raise
        say(str(error))
        return BROKEN
    return OK


class _Interruption:
    """
    SIGINT and SIGTERM cancel what is under way.

    :ivar status: the exit status that stands for the signal; None as long as there was none.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._current: Deferred[Any] | None = None
        self.status: int | None = None
        # The reactor sets its own when it starts to run.
        reactor.callWhenRunning(self._install)

    def _install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def cancels(self, deferred: Deferred[T]) -> Deferred[T]:
        """Let a signal cancel ``deferred``."""
        self._current = deferred
        return deferred

    def _handle(self, number: int, frame: object) -> None:
        self.status = 128 + number
        self._reactor.callFromThread(self._cancel)

    def _cancel(self) -> None:
        if self._current is not None:
            self._current.cancel()


def _tls(ca: str | None, certificate: str | None) -> IPolicyForHTTPS | None:
    from rdv.client import tls_policy

    files: dict[str, bytes] = {}
    for use, path in (("ca", ca), ("certificate", certificate)):
        if path is None:
            continue
        try:
            files[use] = Path(path).read_bytes()
            tls_policy(**{use: files[use]})
        except OSError as error:
            raise BadUsage(f"cannot read {path}: {error.strerror}") from error
        except RdvError as error:
            raise BadUsage(f"{path}: {error}") from error
    return tls_policy(**files) if files else None


def _headers(lines: list[str]) -> Headers:
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise BadUsage(f"not NAME: VALUE: {line!r}")
        try:
            headers.addRawHeader(name.strip(), value.strip())
        except ValueError:
            raise BadUsage(f"not the name of a header: {name!r}") from None
    return headers


def _spaces(names: str) -> AddressSpace:
    spaces = AddressSpace.NONE
    for name in names.split(","):
        try:
            spaces |= AddressSpace[name.strip().upper()]
        except KeyError:
            raise BadUsage(f"not an address space: {name!r}") from None
    return spaces


async def _demo(reactor: Any, arguments: argparse.Namespace) -> int:
    from rdv.demo import demonstrate

    return OK if await demonstrate(reactor, say) else BROKEN
