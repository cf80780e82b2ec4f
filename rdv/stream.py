"""
A connection joined with stdin and stdout: what the commands do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from rdv.client.connection import Connection
from rdv.piping import Piping, StreamBroken
from rdv.stdio import open_sink, open_source

__all__ = ["StreamBroken", "stream"]


async def stream(
    reactor: Any, connecting: Deferred[Connection], say: Callable[[str], object]
) -> None:
    """
    Wait for a connection, then move bytes until both directions have ended.

    :param say: told in one line when there is a connection, and of what kind.
    :raises RdvError: what ``connecting`` fails with.
    :raises StreamBroken: when the stream broke.
    """
    begun = reactor.seconds()
    connection = await connecting
    elapsed = round((reactor.seconds() - begun) * 1000)
    if connection.observed_address is None:
        say("NOTICE: missing observed address")
    kind = "relay" if connection.is_relay else "p2p"
    say(f"CONNECTED: {kind} {connection.peer_address}, {elapsed}ms")
    source, sink = open_source(reactor, 0), open_sink(reactor, 1)
    splicer = None
    if sys.platform == "linux":
        from rdv.splicing import Splicer  # others have not what it needs

        splicer = Splicer.for_reactor(reactor)
    piping = Piping(reactor, source, sink, interactive=os.isatty(0), splicer=splicer)
    connection.attach(piping)
    try:
        await piping.done
    finally:
        if splicer is not None:
            splicer.pipes.close()
