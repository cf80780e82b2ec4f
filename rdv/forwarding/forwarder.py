"""
Connections that come on one side and are joined, each for itself, with new ones on the other: what
``rdv expose`` and ``rdv connect`` do.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from rdv._observer import OneShotObserver
from rdv._stdio.console import Console
from rdv._transport.handover import one_protocol
from rdv.client.connection import Connection
from rdv.client.reasons import describe
from rdv.errors import RdvError
from rdv.forwarding.joint import Joint

if TYPE_CHECKING:
    from rdv._flows.kernel.takeover import Splicer

__all__ = ["Forwarder"]

log = Logger()

#: For which there may be nothing to join a connection with; anything else is a mistake of ours.
_REASONS = (RdvError, ConnectError, OSError, CancelledError, ConnectingCancelledError)


class Forwarder(Factory[Protocol]):
    """
    For each connection that it is given, it connects to one endpoint and joins the two. Whatever
    happens to one forward, the others go on.

    :param endpoint: the only thing that it ever connects to.
    :param console: told of each forward: ``connected`` or ``refused``, then ``ended``.
    :param target: what a person calls the endpoint, when peers come and are to be joined with it.
        None when local connections come, and the endpoint leads to peers.
    :param most: how many forwards there may be at once; a further one is reset.
    :param detailed: a person is told how each forward ended, too.
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
        self._running: dict[Joint, Deferred[None]] = {}
        self._idle: OneShotObserver[None] = OneShotObserver()
        self._idle.fire(None)
        self._closed = False

    @property
    def running(self) -> int:
        """How many forwards there are."""
        return len(self._running)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """See :class:`IProtocolFactory`: a connection has come."""
        if self._closed:
            return _Reset()
        if len(self._running) >= self._most:
            text = f"FULL: {self._most} forwards at once, one more is reset"
            self._console.warn("full", text, most=self._most)
            return _Reset()
        joint = Joint(self._reactor, self._splicer)
        came = joint.near if self._target is None else joint.far
        came.made = lambda: self._start(joint)
        return came

    def _start(self, joint: Joint) -> None:
        forward = Deferred.fromCoroutine(self._forward(next(self._numbers), joint))
        forward.addErrback(lambda failure: log.failure("a forward failed", failure=failure))
        if not forward.called:
            if not self._running:
                self._idle = OneShotObserver()
            self._running[joint] = forward
            forward.addCallback(lambda _: self._forget(joint))

    def _forget(self, joint: Joint) -> None:
        del self._running[joint]
        if not self._running:
            self._idle.fire(None)

    async def _forward(self, number: int, joint: Joint) -> None:
        begun = self._reactor.seconds()
        wanted = joint.far if self._target is None else joint.near
        connecting = self._endpoint.connect(one_protocol(wanted))
        joint.done.addCallback(lambda _: connecting.cancel())
        try:
            await connecting
        except Exception as error:
            if not isinstance(error, _REASONS):
                log.failure("a forward failed")
            # Nothing is told if the one that came has gone first, or we shall end.
            if joint.broken is None:
                self._tell_refused(number, error)
            joint.abort("there is nothing to join it with")
        else:
            self._tell_connected(number, joint, begun)
        await joint.done
        self._tell_ended(number, joint)

    def _tell_refused(self, number: int, error: Exception) -> None:
        reason = describe(error)
        if self._target is not None:
            reason = f"cannot connect to {self._target}: {reason}"
        self._console.warn("refused", f"REFUSED {number}: {reason}", forward=number, message=reason)

    def _tell_connected(self, number: int, joint: Joint, begun: float) -> None:
        elapsed = round((self._reactor.seconds() - begun) * 1000)
        connection: object = joint.far.transport
        assert isinstance(connection, Connection)
        path, peer = "relay" if connection.is_relay else "p2p", connection.peer_address
        self._console.tell(
            "connected",
            f"CONNECTED {number}: {path} {peer}, {elapsed}ms",
            forward=number,
            path=path,
            peer=str(peer),
            milliseconds=elapsed,
        )

    def _tell_ended(self, number: int, joint: Joint) -> None:
        text = f"ENDED {number}: {joint.sent} bytes sent, {joint.received} received"
        if joint.broken is not None:
            text = f"{text}; broken: {joint.broken}"
        self._console.tell(
            "ended",
            text if self._detailed else "",
            forward=number,
            sent=joint.sent,
            received=joint.received,
            broken=joint.broken,
        )

    def close(self) -> Deferred[None]:
        """Reset all forwards, and take no more. Fires when nothing of them is left."""
        self._closed = True
        for joint in list(self._running):
            joint.abort("interrupted")
        return self.idle().addCallback(lambda _: self._free())

    def idle(self) -> Deferred[None]:
        """A new Deferred that fires when there is no forward. Cancelling it changes nothing."""
        return self._idle.when_fired()

    def _free(self) -> None:
        if self._splicer is not None:
            self._splicer.pipes.close()


class _Reset(Protocol):
    """Of a connection that is not wanted."""

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""
        transport: Any = self.transport
        transport.abortConnection()


def _splicer(reactor: object) -> Splicer | None:
    if sys.platform != "linux":
        return None
    from rdv._flows.kernel.takeover import Splicer  # others have not what it needs

    return Splicer.for_reactor(reactor)
