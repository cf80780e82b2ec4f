"""
A dialer and an acceptor who met: their 101s, their handshake lines, then bytes both ways.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from rdv import _knobs as knobs
from rdv._flows.kernel.takeover import SplicedFlow
from rdv._flows.rate import RateLimit
from rdv._observer import OneShotObserver
from rdv._system.sockets import linger, push
from rdv._transport.liveness import unwatch, watch
from rdv.errors import ProtocolError
from rdv.server.direction import Direction, Tap
from rdv.server.leg import Leg
from rdv.server.outcome import Outcome, PairOwner, tells_more, without_lines
from rdv.server.release import HeldBack, Hold
from rdv.wire import confirm_line, hello_line, switching_protocols

__all__ = ["Outcome", "Pair", "PairOwner", "Tap"]


class Pair:
    """
    A dialer and an acceptor with one token, joined by the server.

    A ``serve`` hook gets it before the clients are told anything. It may set :attr:`idle_timeout`,
    :attr:`rate_limit`, :attr:`tap_dialer` and :attr:`tap_acceptor`, call :meth:`reject`, and follow
    the end with :meth:`when_ended`.

    :ivar token: the token, as it travelled.
    :ivar dialer: the dialer's leg: ``addresses`` and ``observed`` say who it is.
    :ivar acceptor: the acceptor's leg.
    :ivar idle_timeout: seconds without a byte in either direction after which a relayed pair is
        cut; 0 for never.
    :ivar rate_limit: bytes a second that are relayed in each direction; 0 for any number.
    :ivar tap_dialer: called with each piece of application bytes that the dialer sends.
    :ivar tap_acceptor: the same for the acceptor.
    :ivar outcome: None until it is known.
    """

    # A server holds thousands.
    __slots__ = (
        "__weakref__",
        "_active",
        "_directions",
        "_ended",
        "_held",
        "_idle_call",
        "_is_over",
        "_living",
        "_owner",
        "_spliced",
        "acceptor",
        "dialer",
        "idle_timeout",
        "outcome",
        "rate_limit",
        "rejection",
        "tap_acceptor",
        "tap_dialer",
        "token",
    )

    def __init__(self, owner: PairOwner, dialer: Leg, acceptor: Leg, idle_timeout: float) -> None:
        self._owner = owner
        self.token = dialer.token
        self.dialer = dialer
        self.acceptor = acceptor
        self.idle_timeout = idle_timeout
        self.rate_limit = 0.0
        self.tap_dialer: Tap | None = None
        self.tap_acceptor: Tap | None = None
        self.outcome: Outcome | None = None
        self.rejection: tuple[int, str] | None = None
        self._held: HeldBack | None = None
        self._directions: tuple[Direction, ...] = ()
        self._living: tuple[Leg, ...] = ()
        #: Those that the kernel moves; None before that was tried.
        self._spliced: tuple[SplicedFlow, ...] | None = None
        self._active = 0.0
        self._idle_call: IDelayedCall | None = None
        self._is_over = False  # both have ended in good order
        self._ended: OneShotObserver[None] = OneShotObserver()

    @property
    def dialer_bytes(self) -> int:
        """How many application bytes of the dialer were relayed so far."""
        return self._count(self.dialer)

    @property
    def acceptor_bytes(self) -> int:
        """How many application bytes of the acceptor were relayed so far."""
        return self._count(self.acceptor)

    def _count(self, leg: Leg) -> int:
        return self._from(leg).flow.count if self._directions else 0

    def _from(self, leg: Leg) -> Direction:
        return self._directions[leg is not self.dialer]

    def reject(self, status: int, reason: str) -> None:
        """
        Refuse the pair: both get that and no 101. Only for a ``serve`` hook before it is done.

        :param status: an HTTP status of 400 or above.
        """
        knobs.whole("status", status, 400, 599)
        knobs.instance("reason", reason, str, "text")
        if self._living or self._ended.fired:
            raise RuntimeError("the pair has been told already")
        self.rejection = (status, reason)

    def when_ended(self) -> Deferred[Pair]:
        """
        A new Deferred that fires with this pair when both connections are gone. Cancelling it only
        forgets it.
        """
        return self._ended.when_fired().addCallback(lambda _: self)  # not its result: a cycle

    def start(self, hold: Hold | None = None) -> None:
        """
        Tell both clients about each other, each in one write, and begin to relay.

        :param hold: who is told later than the other one.
        """
        self._living = (self.dialer, self.acceptor)
        if hold is None:
            self._join()
            self._tell(self.dialer)
            self._tell(self.acceptor)
        else:
            self._held = HeldBack(self._owner.clock, hold, self._tell_held, self._part)
            self._tell(hold.far)

    def _tell(self, leg: Leg) -> None:
        peer = self.acceptor if leg is self.dialer else self.dialer
        others = self._owner.ports.beside(leg.transport)
        leg.transport.write(switching_protocols(leg.observed, peer.candidates, others))

    def _join(self) -> None:
        # Not before both are told: from here each transport steers the other one.
        self._held = None
        dialer, acceptor = self.dialer, self.acceptor
        dialer.owner = acceptor.owner = self
        confirm, hello = confirm_line(self.token), hello_line(self.token)
        self._directions = (
            Direction(dialer, acceptor, confirm, self.tap_dialer, self._limit()),
            Direction(acceptor, dialer, hello, self.tap_acceptor, self._limit()),
        )

    def _limit(self) -> RateLimit | None:
        return RateLimit(self._owner.clock, self.rate_limit) if self.rate_limit else None

    def _tell_held(self, held: HeldBack) -> None:
        self._join()
        self._tell(held.near)

    def _part(self, held: HeldBack, gone: Leg) -> None:
        # No success of a direct path: one of them knew of none.
        self._held = None
        self._living = ()
        self._owner.pair_parted(self, gone, held.far)
        self._end()

    def abort(self) -> None:
        """Cut both connections now. The outcome is ``FAILED`` if there is none yet."""
        self._decide(Outcome.FAILED)
        if self._held is not None:
            self._held.cancel()
            self._join()
        self._stop_splicing()
        for leg in self._living:
            leg.transport.abortConnection()

    # What the legs tell.

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """See :class:`LegOwner`."""
        try:
            completed = self._from(leg).feed(data)
        except ProtocolError:
            self.abort()
            return
        self._active = self._owner.clock.seconds()
        if self.outcome is Outcome.RELAYED and self._spliced is None:
            # Not as soon as both lines are there: many a pair never sends more than its end.
            self._splice()
        if completed and self.outcome is None and any(d.flow.ended for d in self._directions):
            self._end_without_lines(dialer_closed=leg is self.acceptor)
            if leg is self.acceptor:
                self._close()
            else:  # it has chosen the relay, and must not take the acceptor's end for the stream's
                self.abort()
        elif completed and all(d.matcher is None for d in self._directions):
            self._decide(Outcome.RELAYED)
            watch(self._owner.clock, *(each.transport for each in self._living))
            self._owner.pair_joined(self)
            self._watch_idle()

    def _splice(self) -> None:
        self._spliced = ()
        if self._owner.splicer is not None:
            there, back = self._directions
            there.flow, back.flow = self._owner.splicer.take_over(there.flow, back.flow)
            flows = (there.flow, back.flow)
            self._spliced = tuple(flow for flow in flows if isinstance(flow, SplicedFlow))

    def _stop_splicing(self) -> None:
        for flow in self._spliced or ():
            flow.detach()

    def leg_ended(self, leg: Leg) -> None:
        """See :class:`LegOwner`."""
        direction, hello = self._from(leg), self._from(self.acceptor).matcher
        if self.outcome is None and not tells_more(direction.sink, hello):
            self._end_without_lines(dialer_closed=leg is self.dialer)
            self._close()
            return
        if self.outcome is None and leg is self.acceptor:
            # The dialer is not told: it may be choosing the relay, and that is no end of a stream.
            direction.flow.detach()
            return
        direction.flow.end()
        both = self.outcome is Outcome.RELAYED and len(self._living) == 2
        self._is_over = both and all(each.flow.ended for each in self._directions)
        for each in self._living:
            self._close_if_over(each)

    def leg_written(self, leg: Leg) -> None:
        """See :class:`LegOwner`."""
        self._close_if_over(leg)

    def _close_if_over(self, leg: Leg) -> None:
        # What is still with us must not look like everything if this process dies now.
        if leg.written and self._is_over:
            linger(leg.transport, False)
            leg.transport.loseConnection()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """See :class:`LegOwner`."""
        unwatch(self._owner.clock, leg.transport)
        direction, in_order = self._from(leg), reason.check(ConnectionDone) is not None
        self._is_over = self._is_over and in_order
        self._living = tuple(each for each in self._living if each is not leg)
        self._stop_splicing()
        other = direction.sink.transport
        if self.outcome is None:
            self._end_without_lines(dialer_closed=in_order and leg is self.dialer)
        if self._is_over:
            pass  # there may be more to send to the other one, which is closed behind that
        elif in_order or direction.matcher is not None:
            # What the other side sends now goes nowhere, but what it is sent still arrives.
            if not direction.flow.ended:
                direction.flow.detach()
            linger(other, False)
            other.loseConnection()
        else:
            # A reset: the other side must not take what it got for the whole. It may count on this
            # leg already: its line can be on the way, since its direct path was reset as well.
            push(other)
            other.abortConnection()
        if not self._living:
            self._end()

    def _end_without_lines(self, *, dialer_closed: bool) -> None:
        confirm, hello = (direction.matcher for direction in self._directions)
        self._decide(without_lines(confirm, hello, dialer_closed=dialer_closed))

    def _decide(self, outcome: Outcome) -> None:
        self.outcome = self.outcome or outcome

    def _close(self) -> None:
        for direction in self._directions:
            if not direction.flow.ended:
                direction.flow.detach()
        for leg in self._living:
            linger(leg.transport, False)
            leg.transport.loseConnection()

    def _end(self) -> None:
        if self._idle_call is not None and self._idle_call.active():
            self._idle_call.cancel()
        self._owner.pair_ended(self)
        self.conclude()

    def conclude(self) -> None:
        """There is nothing more to come; a pair that was never started has failed."""
        self._decide(Outcome.FAILED)
        self._ended.fire(None)

    def _watch_idle(self) -> None:
        if self.idle_timeout:
            active = max(self._active, *(flow.active for flow in self._spliced or ()), 0.0)
            left = active + self.idle_timeout - self._owner.clock.seconds()
            if left <= 0:
                self.abort()
            else:
                self._idle_call = self._owner.clock.callLater(left, self._watch_idle)
