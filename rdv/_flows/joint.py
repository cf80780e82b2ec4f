"""
Two joined connections: data from one goes to the other, until both directions have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._flows.flow import Flow
from rdv._system.sockets import linger, push
from rdv._transport.interfaces import StreamTransport
from rdv._transport.liveness import unwatch

if TYPE_CHECKING:
    from rdv._flows.kernel.takeover import SplicedFlow

    Flows = tuple[Flow | SplicedFlow, Flow | SplicedFlow]
    TakeOver = Callable[[Flow | SplicedFlow, Flow | SplicedFlow], Flows | None]

__all__ = ["Joint", "LegOwner", "PlainLeg"]

L = TypeVar("L", contravariant=True)


class LegOwner(Protocol[L]):
    """
    Gets the events of a leg: each phase of the leg's life has its own owner. By default it does
    nothing.
    """

    __slots__ = ()

    def leg_received(self, leg: L, data: bytes, /) -> None:
        """Data has arrived."""
        return

    def leg_ended(self, leg: L, /) -> None:
        """The other side has ended its direction; it may still be reading."""
        return

    def leg_written(self, leg: L, /) -> None:
        """All data for it, and our end after it, is in the kernel."""
        return

    def leg_lost(self, leg: L, reason: Failure, /) -> None:
        """The connection is lost."""
        return


@implementer(IProtocol, IHalfCloseableProtocol)
class PlainLeg:
    """
    The protocol of a connection that is joined with another one, or is waiting for that.

    :ivar owner: gets the leg's events.
    :ivar written: whether the kernel has all data for the leg, and the end of our direction after
        it.
    """

    __slots__ = ("owner", "transport", "written")

    owner: LegOwner[Any]
    transport: StreamTransport

    def __init__(self, owner: LegOwner[Any]) -> None:
        self.owner = owner
        self.written = False

    def break_on_exit(self, enabled: bool) -> None:
        """Set whether the other side sees a reset instead of an end if this process dies."""
        linger(self.transport, enabled)

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast(StreamTransport, transport)

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        self.owner.leg_received(self, data)

    def readConnectionLost(self) -> None:
        self.owner.leg_ended(self)

    def writeConnectionLost(self) -> None:
        self.written = True
        self.owner.leg_written(self)

    def connectionLost(self, reason: Failure) -> None:
        self.owner.leg_lost(self, reason)
        del self.owner  # breaks a reference cycle


class Joint:
    """
    Owns two legs, and makes them one connection.

    Each direction ends separately. When both have, each connection is closed as soon as the kernel
    has all data for it. Until then, the loss of one breaks the other: a peer must not mistake the
    data so far for the whole stream. For the same reason the caller sets
    ``break_on_exit`` on both.

    :param flows: from the first leg to the second one, and back. May be set, to replace them.
    :ivar broken: the first leg that was lost too early, and why; None as long as none was.
    :ivar first: the leg that first ended cleanly; None as long as none did.
    :ivar active: when the last piece arrived, or the joint began, in seconds of ``clock``.
    """

    __slots__ = (
        "_active",
        "_clock",
        "_gone",
        "_is_over",
        "_legs",
        "_living",
        "_take_over",
        "broken",
        "first",
        "flows",
    )

    def __init__(
        self,
        clock: IReactorTime,
        legs: tuple[PlainLeg, PlainLeg],
        flows: Flows,
    ) -> None:
        self._clock = clock
        self._legs = legs
        self.flows = flows
        self._take_over: TakeOver | None = None
        self._living: tuple[PlainLeg, ...] = legs
        self._active = 0.0
        self._is_over = False  # both directions have ended cleanly
        self.broken: tuple[PlainLeg, Failure] | None = None
        self.first: PlainLeg | None = None

    def begin(self, gone: Callable[[Joint], object], take_over: TakeOver | None = None) -> None:
        """
        Become the owner of both legs.

        :param gone: called with this object, once, when both connections are gone.
        :param take_over: called with both flows after each piece that arrives from now on, until it
            returns the flows that replace them.
        """
        self._gone, self._take_over = gone, take_over
        self._active = self._clock.seconds()
        for leg in self._legs:
            leg.owner = self

    @property
    def active(self) -> float:
        return max(self._active, *(flow.active for flow in self.flows))

    def flow_of(self, leg: PlainLeg) -> Flow | SplicedFlow:
        """The flow from that leg."""
        return self.flows[leg is not self._legs[0]]

    def detach(self) -> None:
        """Move nothing more."""
        for flow in self.flows:
            if not flow.ended:
                flow.detach()

    def abort(self) -> None:
        """Reset the connections that are open and not about to be closed cleanly."""
        self.detach()
        for leg in self._living:
            if not self._is_closing(leg):
                leg.transport.abortConnection()

    def _is_closing(self, leg: PlainLeg) -> bool:
        """Whether the stream is complete, and the kernel has all of it that goes to this leg."""
        return self._is_over and leg.written

    def leg_received(self, leg: PlainLeg, data: bytes) -> None:
        self.flow_of(leg).write(data)
        self._active = self._clock.seconds()
        if self._take_over is not None:
            flows = self._take_over(*self.flows)
            if flows is not None:
                self.flows, self._take_over = flows, None

    def leg_ended(self, leg: PlainLeg) -> None:
        self.first = self.first or leg
        self.flow_of(leg).end()
        self._is_over = all(each.ended for each in self.flows)
        for each in self._living:
            self.leg_written(each)

    def leg_written(self, leg: PlainLeg) -> None:
        # Not before: if this process died with unwritten data, a clean end would make the data so
        # far look complete.
        if self._is_closing(leg):
            leg.break_on_exit(False)
            leg.transport.loseConnection()

    def leg_lost(self, leg: PlainLeg, reason: Failure) -> None:
        unwatch(self._clock, leg.transport)
        # Closing or resetting the other leg may call this method again immediately.
        living = self._living = tuple(each for each in self._living if each is not leg)
        if not (self._is_over and isinstance(reason.value, ConnectionDone)):
            self.broken = self.broken or (leg, reason)
            for each in living:
                push(each.transport)
            self.abort()
        if not living:
            self._gone(self)
            del self._gone, self._take_over  # breaks reference cycles
