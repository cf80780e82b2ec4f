"""
What an attempt opens so that the peer can reach it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.shared_port import SharedPort
from rdv.client.race.inbound import Inbound
from rdv.client.reach.port_mapping import MappedPort
from rdv.client.trace import What

__all__ = ["Reach", "ignoring_cancellation"]


class Reach:
    """
    The port, its incoming connections, and its mapping on a router.

    :ivar port: to listen on and to dial from.
    :ivar inbound: its incoming connections.
    :ivar mapped: its mapping.
    :raises NoConnection: when the port is not available.
    """

    def __init__(self, context: Context, server: str) -> None:
        settings = context.settings
        self._context = context
        self.inbound = Inbound(context)
        number = settings.local_port
        try:
            self.port = SharedPort(context.reactor, self.inbound, number)
            number = self.port.number
        finally:
            role = context.role.name.lower()
            context.trace(What.BEGUN, role=role, server=server, port=number)
        self.mapped = MappedPort(context.reactor, settings.port_mapping)

    def close(self, kept: Candidate | None = None, *, abort: bool = False) -> Deferred[Any]:
        """
        Close all of it, and all candidates that have not been handed over.

        :param kept: a candidate that stays open.
        :param abort: no path was chosen: reset the relay too, because a peer that is choosing it
            must not mistake this for the end of the stream.
        :return: fires when it is closed.
        """
        self.inbound.stop()
        closing: list[Deferred[Any]] = []
        for candidate in self._context.candidates - {kept}:
            candidate.trace.lost()  # before it closes: the reason is the end of the race
            candidate.close(abort=abort)
            closing.append(candidate.closed)
        closing += [self.port.close(), Deferred.fromCoroutine(self.mapped.close())]
        return gatherResults(closing)


async def ignoring_cancellation(closing: Deferred[Any]) -> None:
    """
    Wait for ``closing``, even if we are cancelled meanwhile.

    :raises CancelledError: afterwards, if we were.
    """
    cancelled = False
    while not closing.called:
        woken: Deferred[None] = Deferred()
        closing.addBoth(_wake, woken)
        try:
            await woken
        except CancelledError:
            cancelled = True
    if cancelled:
        raise CancelledError


def _wake(result: Any, sleeper: Deferred[None]) -> Any:
    if not sleeper.called:
        sleeper.callback(None)
    return result
