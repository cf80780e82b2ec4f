"""
Joins a connection with stdin and stdout, for the commands.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from rdv._flows.sinks import open_sink
from rdv._flows.sources import open_source
from rdv._stdio.path_news import Tell, tell_connected, tell_moved
from rdv._stdio.piping import Piping, StreamBroken
from rdv.client.stream.connection import Connection

if TYPE_CHECKING:
    from rdv._stdio.meter import Meter

__all__ = ["StreamBroken", "stream"]


async def stream(
    reactor: Any,
    connecting: Deferred[Connection],
    tell: Tell,
    meter: Meter | None = None,
) -> None:
    """
    Wait for a connection, then move bytes until both directions have ended.

    :param tell: called when there is a connection, with its path, and when that changes.
    :param meter: reads how much has moved.
    :raises RdvError: the failure of ``connecting``.
    :raises StreamBroken: when the stream broke.
    """
    begun = reactor.seconds()
    connection = await connecting
    connected = reactor.seconds()
    if not any(connection.headers.getRawHeaders(b"rdv-observed-addr", [])):
        tell("notice", "NOTICE: missing observed address", message="missing observed address")
    tell_connected(
        tell,
        connection,
        connected - begun,
        observed=None if connection.observed_address is None else str(connection.observed_address),
    )
    source = open_source(reactor, 0)
    sink = (meter.display.sink() if meter is not None else None) or open_sink(reactor, 1)
    splicer = None
    if sys.platform == "linux":
        from rdv._flows.kernel.takeover import Splicer  # Linux only

        splicer = Splicer.for_reactor(reactor)
    piping = Piping(
        reactor,
        source,
        sink,
        interactive=os.isatty(0),
        splicer=splicer,
        moved=lambda: tell_moved(tell, connection, reactor.seconds() - connected),
    )
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
