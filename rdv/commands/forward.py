"""
What ``rdv expose`` and ``rdv connect`` share.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from rdv.commands.interruption import Interruption
from rdv.commands.status import OK, BadUsage
from rdv.descriptors import raise_limit
from rdv.errors import RdvError
from rdv.forwarding import Forwarder
from rdv.places import BadPlace, HostPlace, UnixPlace, parse_place

__all__ = ["place_of", "run_until_stopped"]


def place_of(text: str, *, any_port: bool = False) -> HostPlace | UnixPlace:
    """
    As :func:`rdv.places.parse_place`.

    :raises BadUsage: when it is no place.
    """
    try:
        return parse_place(text, any_port=any_port)
    except BadPlace as error:
        raise BadUsage(str(error)) from error


async def run_until_stopped(
    reactor: Any, serving: Coroutine[Any, Any, None], forwarder: Forwarder
) -> int:
    """
    Let ``serving`` give connections to ``forwarder`` until it ends, or a signal ends it; then reset
    those that are left.

    :return: the exit status.
    :raises RdvError: what ``serving`` fails with.
    """
    raise_limit(reactor)
    interruption = Interruption(reactor)
    try:
        await interruption.cancels(Deferred.fromCoroutine(serving))
    except (CancelledError, RdvError):
        if interruption.status is None:
            raise
    finally:
        await forwarder.close()
    return OK if interruption.status is None else interruption.status
