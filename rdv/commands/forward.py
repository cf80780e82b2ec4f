"""
What ``rdv expose`` and ``rdv connect`` share.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from rdv._system.descriptors import raise_limit
from rdv.commands.interruption import Interruption
from rdv.commands.status import OK, BadUsage
from rdv.errors import RdvError
from rdv.forwarding.forwarder import Forwarder
from rdv.forwarding.places import BadPlace, HostPlace, UnixPlace, parse_place

__all__ = ["place_of", "run_until_stopped"]


def place_of(text: str, *, any_port: bool = False) -> HostPlace | UnixPlace:
    """
    As :func:`rdv.forwarding.places.parse_place`.

    :raises BadUsage: when it is no place.
    """
    try:
        return parse_place(text, any_port=any_port)
    except BadPlace as error:
        raise BadUsage(str(error)) from error


async def run_until_stopped(
    reactor: Any, serve: Callable[[], Coroutine[Any, Any, None]], forwarder: Forwarder
) -> int:
    """
    Let ``serve`` give connections to ``forwarder`` until it ends, or a signal ends it; then reset
    those that are left.

    :return: the exit status.
    :raises RdvError: what ``serve`` fails with.
    """

    async def begin() -> None:
        # Only then signals are handled, and the port's file is removed whatever happens.
        await deferLater(reactor, 0)
        await serve()

    raise_limit(reactor)
    interruption = Interruption(reactor)
    try:
        await interruption.cancels(Deferred.fromCoroutine(begin()))
    except (CancelledError, RdvError):
        if interruption.status is None:
            raise
    finally:
        await forwarder.close()
    return OK if interruption.status is None else interruption.status
