"""
Joins a connection that has arrived with the one that is made for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._flows.flow import Flow
from rdv._flows.joint import Joint, LegOwner, PlainLeg
from rdv._system.sockets import tune
from rdv._transport.interfaces import StreamTransport
from rdv._transport.liveness import unwatch, watch
from rdv.client.reasons import break_text
from rdv.client.stream.connection import Connection
from rdv.client.stream.receiver import IPathListener

if TYPE_CHECKING:
    from rdv._flows.kernel.takeover import SplicedFlow, Splicer
    from rdv.forwarding.hangup import Hangup

    AnyFlow = Flow | SplicedFlow

__all__ = ["Forward"]


class Forward(LegOwner[PlainLeg]):
    """
    A local connection and one to a peer, each of which gets one of our protocols.

    Neither is read before both are established, so no data is held; if a local program leaves
    meanwhile, this is detected where the kernel reports it (:mod:`rdv.forwarding.hangup`). They are
    then joined. When one connection is lost, the other one is reset; a program behind a Unix
    socket, which has no reset, sees an end.

    With the first byte that passes once the choice of the path is final, the kernel moves the data,
    if both are only sockets.

    :param splicer: None if the kernel does not support this.
    :param begun: called with this object when the first of the two connections is established.
    :ivar path_changed: called when the path of the connection to the peer changes.
    :ivar near: the protocol for the local connection.
    :ivar far: the one for the connection to the peer.
    :ivar done: fires with None, once, when both connections are gone and no further one is wanted.
    """

    def __init__(
        self,
        clock: IReactorTime,
        splicer: Splicer | None = None,
        begun: Callable[[Forward], object] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._splicer = splicer
        self._begun = begun
        self.path_changed: Callable[[], object] = lambda: None
        self._next_turn: IDelayedCall | None = None
        self._hangup: Hangup | None = None
        self.near: PlainLeg = _Leg(self)
        self.far: PlainLeg = _Leg(self)
        #: The connected legs, until they are joined.
        self._alone: list[PlainLeg] = []
        self._joint: Joint | None = None
        self._broken: str | None = None
        self.done: Deferred[None] = Deferred()

    @property
    def sent(self) -> int:
        """Bytes that went to the peer."""
        return self._moved_from(self.near)

    @property
    def received(self) -> int:
        """Bytes that came from the peer."""
        return self._moved_from(self.far)

    def _moved_from(self, leg: PlainLeg) -> int:
        return 0 if self._joint is None else self._joint.flow_of(leg).count

    @property
    def broken(self) -> str | None:
        """Why it did not end cleanly; None as long as nothing has gone wrong."""
        if self._broken is None and self._joint is not None and self._joint.broken is not None:
            self._broken = self._text(*self._joint.broken)
        return self._broken

    def _text(self, leg: PlainLeg, reason: Failure) -> str:
        connection: object = leg.transport
        if isinstance(connection, Connection):
            return break_text(reason, "the peer", relayed=connection.is_relay)
        return break_text(reason, "the local side", relayed=False)

    def abort(self, reason: str) -> None:
        """
        Reset the established connections; connections made later will be reset immediately.

        :param reason: becomes :attr:`broken`, if there is none yet.
        """
        if self.done.called:
            return
        self._broken = self.broken or reason
        self._leave()
        if self._joint is not None:
            self._joint.abort()
            return
        for leg in self._alone:
            leg.transport.abortConnection()
        if not self._alone:
            self.done.callback(None)

    def _leave(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self._hangup is not None:
            self._hangup.stop()

    # Until both connections are established.

    def leg_made(self, leg: PlainLeg) -> None:
        """A connection is established."""
        leg.transport.pauseProducing()
        tune(leg.transport)
        leg.break_on_exit(True)
        if not isinstance(leg.transport, Connection):  # which does this itself
            watch(self._clock, leg.transport)
        self._alone.append(leg)
        if self.broken is not None:
            leg.transport.abortConnection()
        elif len(self._alone) == 2:
            self._join()
        else:
            if leg is self.near and self._splicer is not None:
                self._watch(self._splicer)
            self._begun(self)

    def _watch(self, splicer: Splicer) -> None:
        from rdv.forwarding.hangup import Hangup  # Linux only

        gone = "the local program disconnected"
        self._hangup = Hangup(
            self._clock, splicer.watcher, self.near.transport, lambda: self.abort(gone)
        )

    def leg_lost(self, leg: PlainLeg, reason: Failure) -> None:
        unwatch(self._clock, leg.transport)
        self._alone.remove(leg)
        self.abort(self._text(leg, reason))

    # When both are established.

    def _join(self) -> None:
        self._leave()
        near, far = self.near.transport, self.far.transport
        flows = Flow(near, far), Flow(far, near)
        self._joint = joint = Joint(self._clock, (self.near, self.far), flows)
        joint.begin(self._gone, self._shorten if self._splicer is not None else None)
        near.resumeProducing()
        far.resumeProducing()  # if it was lost while it was paused, this reports it

    def _gone(self, joint: Joint) -> None:
        self._leave()
        self.done.callback(None)

    # Bypassing the transports.

    def _shorten(self, there: AnyFlow, back: AnyFlow) -> tuple[AnyFlow, AnyFlow] | None:
        if _below(self.far.transport) is None:
            return None
        # Not now, while the transport is in the middle of something.
        self._next_turn = self._clock.callLater(0, self._take_over)
        return there, back

    def _take_over(self) -> None:
        from rdv._flows.kernel.takeover import is_plain  # Linux only
        from rdv.forwarding.hangup import has_hung_up

        self._next_turn = None
        joint, splicer = self._joint, self._splicer
        one, other = self.near.transport, _below(self.far.transport)
        if joint is None or splicer is None or joint.broken is not None:
            return
        if other is None or not (is_plain(one) and is_plain(other)):
            return
        if has_hung_up(one):  # it can no longer write what the splicer would wait for
            return
        there, back = joint.flows
        if not back.ended:
            # If it was paused, it may hold data, or its loss.
            self.far.transport.resumeProducing()
        if self.broken is not None or (there.ended and back.ended):
            return
        if isinstance(there, Flow) and isinstance(back, Flow):
            lower = _between(there, one, other), _between(back, other, one)
            joint.flows = splicer.take_over(*lower)


@implementer(IPathListener)
class _Leg(PlainLeg):
    __slots__ = ("_forward",)

    def __init__(self, forward: Forward) -> None:
        super().__init__(forward)
        self._forward = forward

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(transport)
        self._forward.leg_made(self)

    def path_changed(self) -> None:
        self._forward.path_changed()

    def break_on_exit(self, enabled: bool) -> None:
        connection: object = self.transport
        if isinstance(connection, Connection):
            connection.break_on_exit(enabled)
        else:
            super().break_on_exit(enabled)


def _below(transport: StreamTransport) -> StreamTransport | None:
    """The transport below; None while another one may replace it."""
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
