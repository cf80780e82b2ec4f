"""
A dialer and an acceptor who met: their 101s, their handshake lines, then bytes both ways.

A ``Pair`` owns both legs until both lines have come. Each is forwarded when it is right. A dialer
that has heard ``HELLO`` and closes in good order found a direct path: that is the outcome
``DIRECT``. Any other leg that goes before both lines are there makes it ``ABANDONED``. Both lines
right: ``RELAYED``, and a ``Joint`` has the legs. Anything else: ``FAILED``.

The socket of each client that has got the other's line lingers 0 seconds until both directions have
ended and all that it is sent is with the kernel: a server that is killed resets it. An acceptor
that ends behind its HELLO does not end the dialer in good order, who may be choosing the relay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rdv import _knobs as knobs
from rdv._flows.flow import Flow
from rdv._flows.joint import Joint, LegOwner
from rdv._flows.kernel.takeover import Splicer
from rdv._flows.rate import RateLimit
from rdv._line_matcher import LineMatcher
from rdv._observer import OneShotObserver
from rdv._system.sockets import push
from rdv._transport.liveness import watch
from rdv._transport.prompt import hasten
from rdv.errors import ProtocolError
from rdv.server.leg import Leg
from rdv.server.outcome import Outcome, tells_more, without_lines
from rdv.server.ports import Ports
from rdv.wire import confirm_line, hello_line, switching_protocols

__all__ = ["Pair", "PairOwner", "Tap"]

#: Sees each piece of one direction as it passes.
Tap: TypeAlias = Callable[[bytes], object]


class PairOwner(Protocol):
    """Whose pairs they are, and what they share."""

    clock: IReactorTime
    splicer: Splicer | None
    ports: Ports

    def pair_joined(self, pair: Pair) -> None:
        """Both lines have come."""

    def pair_ended(self, pair: Pair) -> None:
        """Both connections are gone, or have another owner."""


class Pair(LegOwner[Leg]):
    """
    A dialer and an acceptor with one token, joined by the server.

    A ``serve`` hook gets it before the clients are told anything. It may set :attr:`idle_timeout`,
    :attr:`rate_limit`, :attr:`tap_dialer` and :attr:`tap_acceptor`, call :meth:`reject`, and follow
    the end with :meth:`when_ended`.

    :ivar token: the token, as it travelled.
    :ivar dialer: the dialer's leg: ``addresses``, ``observed`` and ``user`` say who it is.
    :ivar acceptor: the acceptor's leg.
    :ivar idle_timeout: seconds without a byte in either direction after which a relayed pair is
        cut; 0 for never.
    :ivar rate_limit: bytes a second that are relayed in each direction; 0 for any number.
    :ivar tap_dialer: called with each piece of application bytes that the dialer sends.
    :ivar tap_acceptor: the same for the acceptor.
    :ivar outcome: None until it is known.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "_idle_call",
        "_joint",
        "_lines",
        "_living",
        "_one_has_ended",
        "_owner",
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
        #: Those that are still to come, each from its leg.
        self._lines = {
            dialer: LineMatcher(confirm_line(self.token)),
            acceptor: LineMatcher(hello_line(self.token)),
        }
        self._living: tuple[Leg, ...] = ()  # as long as a line is to come
        self._one_has_ended = False
        self._joint: Joint | None = None
        self._idle_call: IDelayedCall | None = None
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
        return 0 if self._joint is None else self._joint.flow_of(leg).count

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

    def tell(self, leg: Leg) -> None:
        """Tell a client about the other one, in one write."""
        self._living = (self.dialer, self.acceptor)
        hasten(leg.transport)
        others = self._owner.ports.beside(leg.transport)
        leg.transport.write(switching_protocols(leg.observed, self.other(leg).candidates, others))

    def start(self, told: Leg | None = None) -> None:
        """
        Tell both clients about each other, and begin to read what they say.

        :param told: who has been told already.
        """
        self.dialer.owner = self.acceptor.owner = self
        for leg in (self.dialer, self.acceptor):
            if leg is not told:
                self.tell(leg)

    def other(self, leg: Leg) -> Leg:
        """The one of the two that ``leg`` is not."""
        return self.acceptor if leg is self.dialer else self.dialer

    def abort(self) -> None:
        """Cut both connections now. The outcome is ``FAILED`` if there is none yet."""
        self._decide(Outcome.FAILED)
        if self._joint is not None:
            self._joint.abort()
        else:
            for leg in self._living:
                leg.transport.abortConnection()

    # What the legs tell until both lines have come.

    def leg_received(self, leg: Leg, data: bytes) -> None:
        if self.outcome is not None:  # they are being closed
            return
        line = self._lines.get(leg)
        if line is None:
            self._joined().leg_received(leg, data)
            return
        try:
            rest = line.feed(data)
        except ProtocolError:
            self.abort()
            return
        if rest is not None:
            self._line_came(leg, line.expected, rest)

    def _line_came(self, leg: Leg, line: bytes, rest: bytes) -> None:
        del self._lines[leg]
        other = self.other(leg)
        # Whoever has a line counts on this relay: should our process die, that is no end.
        other.break_on_exit(True)
        other.transport.write(line)
        if rest:
            self._joined().leg_received(leg, rest)
        if not self._one_has_ended:
            if not self._lines:
                self._relay()
            return
        self._end_without_lines(dialer_closed=leg is self.acceptor)
        if leg is self.acceptor:
            self._close()
        else:  # it has chosen the relay, and must not take the acceptor's end for the stream's
            self.abort()

    def _joined(self) -> Joint:
        if self._joint is None:
            legs, taps = (self.dialer, self.acceptor), (self.tap_dialer, self.tap_acceptor)
            there, back = map(self._flow, legs, taps)
            self._joint = Joint(self._owner.clock, legs, (there, back), lambda _: self._end())
        return self._joint

    def _flow(self, source: Leg, tap: Tap | None) -> Flow:
        limit = RateLimit(self._owner.clock, self.rate_limit) if self.rate_limit else None
        return Flow(source.transport, self.other(source).transport, tap, limit)

    def _relay(self) -> None:
        self._decide(Outcome.RELAYED)
        # The kernel takes over with the next bytes: many a pair never sends more than its end.
        splicer = self._owner.splicer
        self._joined().begin(None if splicer is None else splicer.take_over)
        watch(self._owner.clock, self.dialer.transport, self.acceptor.transport)
        self._owner.pair_joined(self)
        self._watch_idle()

    def leg_ended(self, leg: Leg) -> None:
        if self.outcome is not None:
            return
        if not tells_more(self.other(leg), self._lines.get(self.acceptor)):
            self._end_without_lines(dialer_closed=leg is self.dialer)
            self._close()
            return
        # The dialer is not told: it may be choosing the relay, and that is no end of a stream.
        self._one_has_ended = True
        if leg is self.dialer:
            self._joined().flow_of(leg).end()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        # Closing the other one may lose it at once.
        living = self._living = tuple(each for each in self._living if each is not leg)
        if self.outcome is None:
            in_order = reason.check(ConnectionDone) is not None
            self._end_without_lines(dialer_closed=in_order and leg is self.dialer)
            if in_order or leg in self._lines:
                self._close()
            else:
                # A reset. The other side may count on this leg already: its line can be on the
                # way, since its direct path was reset as well.
                push(self.other(leg).transport)
                self.abort()
        if not living:
            self._end()

    def _end_without_lines(self, *, dialer_closed: bool) -> None:
        confirm, hello = self._lines.get(self.dialer), self._lines.get(self.acceptor)
        self._decide(without_lines(confirm, hello, dialer_closed=dialer_closed))

    def _decide(self, outcome: Outcome) -> None:
        self.outcome = self.outcome or outcome

    def _close(self) -> None:
        if self._joint is not None:
            self._joint.detach()
        for leg in self._living:
            if self.other(leg) not in self._lines:  # it has got a line
                leg.break_on_exit(False)
            leg.transport.loseConnection()

    def _end(self) -> None:
        if self._idle_call is not None and self._idle_call.active():
            self._idle_call.cancel()
        self._owner.pair_ended(self)
        self.conclude()

    def conclude(self) -> None:
        """There is nothing more to come; a pair that was never started has failed."""
        self._living = ()
        self._decide(Outcome.FAILED)
        self._ended.fire(None)

    def _watch_idle(self) -> None:
        if self.idle_timeout:
            left = self._joined().active + self.idle_timeout - self._owner.clock.seconds()
            if left <= 0:
                self.abort()
            else:
                self._idle_call = self._owner.clock.callLater(left, self._watch_idle)
