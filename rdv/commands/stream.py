"""
``rdv dial`` and ``rdv accept``: a connection joined with stdin and stdout.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rdv._stdio.console import Console, Form
from rdv._stdio.stream import StreamBroken, stream
from rdv._system.process import empty_stdin
from rdv.commands.client import client_of, headers_of, news_of, servers_of
from rdv.commands.meeting import settle
from rdv.commands.running import BROKEN, OK, Interrupted, status_of, until_signal
from rdv.endpoints.retry import keep_trying
from rdv.errors import RdvError
from rdv.wire import Role

if TYPE_CHECKING:
    from rdv._stdio.meter import Display, Meter
    from rdv.client import Client
    from rdv.client.stream.connection import Connection
    from rdv.client.trace import Event, Trace
    from rdv.commands.explaining import Explaining

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Dial or accept, and move bytes until both directions have ended."""
    settle(arguments, console)
    if not arguments.reads:
        empty_stdin()  # first, because the progress display examines it
    display = _display(console)
    if display is None:
        return await _stream(reactor, arguments, console, None)
    from rdv._stdio.meter import Meter

    meter = Meter(reactor, display)
    status = await _stream(reactor, arguments, console, meter)
    console.tell(
        "end",
        display.summary(meter),
        sent=meter.sent,
        received=meter.received,
        seconds=round(meter.seconds, 3),
        status=status,
    )
    return status


def _display(console: Console) -> Display | None:
    # Loaded only if a user can see it.
    if console.form is Form.JSON:
        from rdv._stdio.meter import StreamEvents

        return StreamEvents(console)
    if console.form is Form.TEXT and sys.stderr.isatty():
        from rdv._stdio.progress import Progress, is_wanted, load

        return Progress(console, load) if is_wanted() else None
    return None


async def _stream(
    reactor: Any, arguments: argparse.Namespace, console: Console, meter: Meter | None
) -> int:
    async def connect_and_stream() -> None:
        trace = None if meter is None else meter.display.trace
        client = client_of(reactor, arguments, trace=trace)
        explaining = _explaining(arguments, console)
        connecting = _connecting(reactor, arguments, client, console, explaining)
        if explaining is not None:
            connecting.addBoth(explaining.ended)
        try:
            await stream(reactor, connecting, console.tell, meter)
        finally:
            if explaining is not None:
                explaining.finish()

    try:
        await until_signal(reactor, connect_and_stream())
    except Interrupted as error:
        # The user pressed Ctrl-C and needs no message.
        console.tell("failed", message="interrupted", status=error.status)
        return error.status
    except RdvError as error:
        status = BROKEN if isinstance(error, StreamBroken) else status_of(error)
        console.fail(str(error), status)
        return status
    return OK


def _connecting(
    reactor: Any,
    arguments: argparse.Namespace,
    client: Client,
    console: Console,
    explaining: Trace | None,
) -> Deferred[Connection]:
    role = Role.DIALER if arguments.command == "dial" else Role.ACCEPTOR
    connect = client.dial if role is Role.DIALER else client.accept
    servers, headers = servers_of(arguments), headers_of(arguments)

    def attempt(timeout: float | None, trace: Trace) -> Deferred[Connection]:
        def happened(event: Event) -> None:
            trace(event)
            if explaining is not None:
                explaining(event)

        return connect(servers, arguments.token, timeout=timeout, headers=headers, trace=happened)

    where = f" at {arguments.url}" if arguments.verbose else ""
    tell = news_of(console, f"WAITING: for the peer{where}", arguments.url)
    timeout = arguments.timeout or None
    trying = keep_trying(attempt, reactor, role, arguments.token, timeout, tell=tell)
    return Deferred.fromCoroutine(trying)


def _explaining(arguments: argparse.Namespace, console: Console) -> Explaining | None:
    if not arguments.explain and arguments.explain_to is None:
        return None
    from rdv.commands.explaining import Explaining  # imported late

    return Explaining(console, arguments.explain, arguments.explain_to)
