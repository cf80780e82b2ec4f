"""
A connection joined with stdin and stdout: what the commands do.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred

from rdv._flows.sinks import open_sink
from rdv._flows.sources import open_source
from rdv._stdio.piping import Piping, StreamBroken
from rdv.client.connection import Connection

if TYPE_CHECKING:
    from rdv._stdio.meter import Meter

__all__ = ["StreamBroken", "Tell", "stream"]


class Tell(Protocol):
    """Is told what happens, as :meth:`rdv._stdio.console.Console.tell`."""

    def __call__(self, event: str, text: str = "", **fields: object) -> None: ...


async def stream(
    reactor: Any,
    connecting: Deferred[Connection],
    tell: Tell,
    meter: Meter | None = None,
) -> None:
    """
    Wait for a connection, then move bytes until both directions have ended.

    :param tell: told when there is a connection, and of what kind.
    :param meter: reads how much has moved.
    :raises RdvError: what ``connecting`` fails with.
    :raises StreamBroken: when the stream broke.
    """
    begun = reactor.seconds()
    connection = await connecting
    elapsed = round((reactor.seconds() - begun) * 1000)
    if connection.observed_address is None:
        tell("notice", "NOTICE: missing observed address", message="missing observed address")
    kind, peer = "relay" if connection.is_relay else "p2p", connection.peer_address
    tell(
        "connected",
        f"CONNECTED: {kind} {peer},{' secure,' * connection.is_secure} {elapsed}ms",
        path=kind,
        secure=connection.is_secure,
        peer=str(peer),
        observed=None if connection.observed_address is None else str(connection.observed_address),
        milliseconds=elapsed,
    )
    source = open_source(reactor, 0)
    sink = (meter.display.sink() if meter is not None else None) or open_sink(reactor, 1)
    splicer = None
    if sys.platform == "linux":
        from rdv._flows.kernel.takeover import Splicer  # others have not what it needs

        splicer = Splicer.for_reactor(reactor)
    piping = Piping(reactor, source, sink, interactive=os.isatty(0), splicer=splicer)
    connection.attach(piping)
    if meter is not None:
        meter.start(piping)
    try:
        await piping.done
    finally:
        if meter is not None:
            meter.stop()
        if splicer is not None:
            splicer.pipes.close()
