"""
Joins each connection that arrives on one side with a new one on the other: the implementation of
``rdv expose`` and ``rdv connect``.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IAddress, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from rdv._observer import OneShotObserver
from rdv._stdio.console import Console
from rdv._stdio.path_news import tell_connected, tell_moved
from rdv._transport.handover import one_protocol
from rdv.client.reasons import describe
from rdv.client.stream.connection import Connection
from rdv.errors import RdvError
from rdv.forwarding.forward import Forward

if TYPE_CHECKING:
    from rdv._flows.kernel.takeover import Splicer

__all__ = ["Forwarder"]

log = Logger()

#: Expected failures to connect; anything else is a bug.
_REASONS = (RdvError, ConnectError, OSError, CancelledError, ConnectingCancelledError)


class Forwarder(Factory[Any]):
    """
    For each connection that it is given, it connects to one endpoint and joins the two. The
    forwards are independent of each other.

    :param endpoint: the only destination to which it connects.
    :param console: gets the events of each forward: ``connected`` or ``refused``, ``moved`` when
        its path changes, then ``ended``.
    :param target: the endpoint's name for a human, when peers arrive and are joined with it. None
        when local connections arrive, and the endpoint leads to peers.
    :param most: how many forwards there may be at once; a further one is reset.
    :param detailed: also report to a human how each forward ended.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        console: Console,
        *,
        target: str | None = None,
        most: int,
        detailed: bool = False,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._console = console
        self._target = target
        self._most = most
        self._detailed = detailed
        self._splicer = _splicer(reactor)
        self._numbers = count(1)
        self._running: dict[Forward, Deferred[None]] = {}
        self._idle: OneShotObserver[None] = OneShotObserver()
        self._idle.fire(None)
        self._closed = False

    @property
    def running(self) -> int:
        """How many forwards there are."""
        return len(self._running)

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:
        """See :class:`IProtocolFactory`: a connection has arrived."""
        if self._closed:
            return _Reset()
        if len(self._running) >= self._most:
            text = f"FULL: {self._most} forwards are open, one more is reset"
            self._console.warn("full", text, most=self._most)
            return _Reset()
        forward = Forward(self._reactor, self._splicer, self._begin)
        return forward.near if self._target is None else forward.far

    def _begin(self, forward: Forward) -> None:
        running = Deferred.fromCoroutine(self._run(next(self._numbers), forward))
        running.addErrback(lambda failure: log.failure("a forward failed", failure=failure))
        if not running.called:
            if not self._running:
                self._idle = OneShotObserver()
            self._running[forward] = running
            running.addCallback(lambda _: self._forget(forward))

    def _forget(self, forward: Forward) -> None:
        del self._running[forward]
        if not self._running:
            self._idle.fire(None)

    async def _run(self, number: int, forward: Forward) -> None:
        begun = self._reactor.seconds()
        wanted = forward.far if self._target is None else forward.near
        connecting = self._endpoint.connect(one_protocol(wanted))
        forward.done.addCallback(lambda _: connecting.cancel())
        try:
            await connecting
        except Exception as error:
            if not isinstance(error, _REASONS):
                log.failure("a forward failed")
            # Nothing is reported if the incoming connection was lost before, or this is closing.
            if forward.broken is None:
                self._tell_refused(number, error)
            forward.abort("it has no counterpart")
        else:
            self._tell_connected(number, forward, begun)
        await forward.done
        self._tell_ended(number, forward)

    def _tell_refused(self, number: int, error: Exception) -> None:
        reason = describe(error)
        if self._target is not None:
            reason = f"cannot connect to {self._target}: {reason}"
        self._console.warn("refused", f"REFUSED {number}: {reason}", forward=number, message=reason)

    def _tell_connected(self, number: int, forward: Forward, begun: float) -> None:
        now: float = self._reactor.seconds()
        tell = self._console.tell
        connection: object = forward.far.transport
        assert isinstance(connection, Connection)
        tell_connected(tell, connection, now - begun, number)
        forward.path_changed = lambda: tell_moved(
            tell, connection, self._reactor.seconds() - now, number
        )

    def _tell_ended(self, number: int, forward: Forward) -> None:
        text = f"ENDED {number}: {forward.sent} bytes sent, {forward.received} received"
        if forward.broken is not None:
            text = f"{text}; broken: {forward.broken}"
        self._console.tell(
            "ended",
            text if self._detailed else "",
            forward=number,
            sent=forward.sent,
            received=forward.received,
            broken=forward.broken,
        )

    def close(self) -> Deferred[None]:
        """Reset all forwards, and accept no more. Fires when all of them are closed."""
        self._closed = True
        for forward in list(self._running):
            forward.abort("interrupted")
        return self.idle().addCallback(lambda _: self._free())

    def idle(self) -> Deferred[None]:
        """A new Deferred that fires when there is no forward. Cancelling it changes nothing."""
        return self._idle.when_fired()

    def _free(self) -> None:
        if self._splicer is not None:
            self._splicer.pipes.close()


class _Reset(Protocol):
    """Resets an unwanted connection."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


def _splicer(reactor: object) -> Splicer | None:
    if sys.platform != "linux":
        return None
    from rdv._flows.kernel.takeover import Splicer  # Linux only

    return Splicer.for_reactor(reactor)
