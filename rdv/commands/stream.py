"""
``rdv dial`` and ``rdv accept``: a connection joined with stdin and stdout.
"""

from __future__ import annotations

import argparse
import gc
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from rdv.commands.client import client_of, headers_of
from rdv.commands.interruption import Interruption
from rdv.commands.status import BROKEN, OK
from rdv.errors import RdvError
from rdv.stream import StreamBroken, stream
from rdv.telling import Teller

if TYPE_CHECKING:
    from rdv.commands.explaining import Explaining

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, teller: Teller) -> int:
    """Dial or accept, and move bytes until both directions have ended."""
    # Modules live to the end. That the collector need not go through them shortens its pauses, and
    # the end of the process by a good part of what loading them took.
    gc.freeze()
    client = client_of(reactor, arguments)
    explaining = _explaining(arguments, teller)
    connect = client.dial if arguments.command == "dial" else client.accept
    connecting = connect(
        arguments.url,
        arguments.token,
        timeout=arguments.timeout or None,
        headers=headers_of(arguments),
        trace=explaining,
    )
    if explaining is not None:
        connecting.addBoth(explaining.ended)
    interruption = Interruption(reactor)
    try:
        await interruption.cancels(Deferred.fromCoroutine(stream(reactor, connecting, teller.tell)))
    except (CancelledError, RdvError) as error:
        if interruption.status is not None:
            return interruption.status
        if not isinstance(error, StreamBroken):
            raise
        teller.fail(str(error), BROKEN)
        return BROKEN
    return OK


def _explaining(arguments: argparse.Namespace, teller: Teller) -> Explaining | None:
    if not arguments.explain and arguments.explain_to is None:
        return None
    from rdv.commands.explaining import Explaining  # only then

    return Explaining(teller, arguments.explain, arguments.explain_to)
