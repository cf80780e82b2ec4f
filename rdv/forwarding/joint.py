"""
Two connections joined: what comes on one goes out on the other, until both directions have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._flows.flow import Flow
from rdv._system.sockets import linger, tune
from rdv._transport.interfaces import StreamTransport
from rdv._transport.liveness import unwatch, watch
from rdv.client.connection import Connection
from rdv.client.reasons import break_text

if TYPE_CHECKING:
    from rdv._flows.kernel.takeover import SplicedFlow, Splicer
    from rdv.forwarding.hangup import Hangup

__all__ = ["Joint", "Leg"]


class Joint:
    """
    A local connection and one to a peer, each of which is given one of our protocols.

    Neither is read before both stand, so nothing is held; a local program that leaves meanwhile is
    noticed where the kernel tells (:mod:`rdv.forwarding.hangup`). Each direction ends for itself.
    When one connection is lost the other one is reset, and so it is when this process dies: nobody
    takes what has come so far for the whole. A Unix socket knows no reset; whoever is behind one
    sees an end.

    With the first byte that passes when the choice of the path is final, the kernel moves them, if
    both are nothing but a socket.

    :param splicer: None where the kernel cannot do it.
    :ivar near: the protocol for the local connection.
    :ivar far: the one for the connection to the peer.
    :ivar broken: why it did not end in good order; None as long as nothing has gone wrong.
    :ivar done: fires with None, once, when neither connection stands any more and no further one is
        wanted.
    """

    def __init__(self, clock: IReactorTime, splicer: Splicer | None = None) -> None:
        self._clock = clock
        self._splicer = splicer
        self._next_turn: IDelayedCall | None = None
        self._hangup: Hangup | None = None
        self.near = Leg(self)
        self.far = Leg(self)
        self._legs = (self.near, self.far)
        self.broken: str | None = None
        self.done: Deferred[None] = Deferred()

    @property
    def sent(self) -> int:
        """Bytes that went to the peer."""
        return self.near.moved

    @property
    def received(self) -> int:
        """Bytes that came from the peer."""
        return self.far.moved

    def abort(self, reason: str) -> None:
        """
        Reset what stands; what is still to come will be reset at once.

        :param reason: becomes :attr:`broken`, if there is none yet.
        """
        if self.done.called:
            return
        if self.broken is None:
            self.broken = reason
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._watch_no_more()
        for leg in self._legs:
            if leg.flow is not None and not leg.flow.ended:
                leg.flow.detach()
        for leg in self._legs:
            # One that is about to be closed has ended both ways: it has, and will get, everything.
            if leg.stands and not leg.closing:
                leg.transport.abortConnection()
        self._look_for_end()

    # What the legs tell.

    def leg_made(self, leg: Leg) -> None:
        """It stands."""
        leg.transport.pauseProducing()
        tune(leg.transport)
        _break_on_exit(leg.transport, True)
        if not isinstance(leg.transport, Connection):  # that one sees to it itself
            watch(self._clock, leg.transport)
        if self.broken is not None:
            leg.transport.abortConnection()
        elif self.near.stands and self.far.stands:
            self._begin()
        elif leg is self.near and self._splicer is not None:
            self._watch(self._splicer)

    def _watch(self, splicer: Splicer) -> None:
        from rdv.forwarding.hangup import Hangup  # only Linux has what it needs

        gone = "the local program has left"
        self._hangup = Hangup(
            self._clock, splicer.watcher, self.near.transport, lambda: self.abort(gone)
        )

    def _watch_no_more(self) -> None:
        if self._hangup is not None:
            self._hangup.stop()

    def _begin(self) -> None:
        self._watch_no_more()
        near, far = self.near, self.far
        near.flow = Flow(near.transport, far.transport)
        far.flow = Flow(far.transport, near.transport)
        for leg in self._legs:
            if self.broken is None:  # one may hold its loss, which it tells at once
                leg.transport.resumeProducing()

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """See :class:`IProtocol`."""
        if leg.flow is not None:
            leg.flow.write(data)
            self._shorten()

    def leg_ended(self, leg: Leg) -> None:
        """See :class:`IHalfCloseableProtocol`: nothing more comes."""
        if leg.flow is not None:
            leg.flow.end()
        self._close(leg)

    def leg_written(self, leg: Leg) -> None:
        """See :class:`IHalfCloseableProtocol`: what it gets is all with the kernel."""
        self._close(leg)

    def _close(self, leg: Leg) -> None:
        if leg.read_ended and leg.write_ended and not leg.closing:
            leg.closing = True
            _break_on_exit(leg.transport, False)
            leg.transport.loseConnection()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """See :class:`IProtocol`: in good order it comes only after we have closed."""
        if not isinstance(leg.transport, Connection):
            unwatch(self._clock, leg.transport)
        if leg.closing and reason.check(ConnectionDone):
            self._look_for_end()
        else:
            peers = leg.transport if isinstance(leg.transport, Connection) else None
            who = "the local side" if peers is None else "the peer"
            self.abort(break_text(reason, who, relayed=peers is not None and peers.is_relay))

    def _look_for_end(self) -> None:
        over = self.broken is not None or (self.near.closing and self.far.closing)
        if over and not self.done.called and not any(leg.stands for leg in self._legs):
            self.done.callback(None)

    # Past the transports.

    def _shorten(self) -> None:
        if self._splicer is not None and _below(self.far.transport) is not None:
            splicer, self._splicer = self._splicer, None
            # Not in the middle of what the transport is doing.
            self._next_turn = self._clock.callLater(0, self._take_over, splicer)

    def _take_over(self, splicer: Splicer) -> None:
        from rdv._flows.kernel.takeover import is_plain  # only Linux has what it needs
        from rdv.forwarding.hangup import has_hung_up

        self._next_turn = None
        one, other = self.near.transport, _below(self.far.transport)
        if not (other is not None and is_plain(one) and is_plain(other)):
            return
        if has_hung_up(one):  # it could write nothing before, which is what the splicer waits for
            return
        if not self.far.read_ended:
            # If it was paused it may hold something, or its loss.
            self.far.transport.resumeProducing()
        there, back = self.near.flow, self.far.flow
        if self.broken is None and isinstance(there, Flow) and isinstance(back, Flow):
            if there.ended and back.ended:
                return
            lower = _between(there, one, other), _between(back, other, one)
            self.near.flow, self.far.flow = splicer.take_over(*lower)


@implementer(IHalfCloseableProtocol)
class Leg(Protocol):
    """
    The protocol of one of the two connections.

    :ivar made: called when it is connected, and paused.
    :ivar stands: whether it is connected.
    :ivar read_ended: whether its other side has ended.
    :ivar write_ended: whether we have, and all is with the kernel.
    :ivar closing: whether we have closed it in good order.
    :ivar flow: what comes from here; None before both stand.
    """

    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, joint: Joint) -> None:
        self._joint = joint
        self.made: Callable[[], object] | None = None
        self.stands = False
        self.read_ended = False
        self.write_ended = False
        self.closing = False
        self.flow: Flow | SplicedFlow | None = None

    @property
    def moved(self) -> int:
        """How many bytes have come from here and gone on."""
        return 0 if self.flow is None else self.flow.count

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""
        self.stands = True
        self._joint.leg_made(self)
        if self.made is not None:
            self.made()

    def dataReceived(self, data: bytes) -> None:
        """See :class:`IProtocol`."""
        self._joint.leg_received(self, data)

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self.read_ended = True
        self._joint.leg_ended(self)

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self.write_ended = True
        self._joint.leg_written(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See :class:`IProtocol`."""
        self.stands = False
        self._joint.leg_lost(self, reason)


def _break_on_exit(transport: StreamTransport, enabled: bool) -> None:
    if isinstance(transport, Connection):
        transport.break_on_exit(enabled)
    else:
        linger(transport, enabled)


def _below(transport: StreamTransport) -> StreamTransport | None:
    """What a connection goes through; None as long as that may change."""
    if isinstance(transport, Connection):
        return cast("StreamTransport | None", transport.final_transport)
    return transport


def _between(flow: Flow, source: StreamTransport, sink: StreamTransport) -> Flow:
    """The same flow, between the transports below."""
    ended = flow.ended
    if not ended:
        flow.detach()
    lower = Flow(source, sink)
    lower.count = flow.count
    if ended:
        lower.detach()
    return lower
