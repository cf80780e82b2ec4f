"""
A matched dialer and acceptor: their 101s, their handshake lines, then bytes in both directions.

A ``Pair`` owns both legs until both lines have arrived, and forwards each line if it is correct. If
the dialer has received ``HELLO`` and closes cleanly, it has found a direct path: ``DIRECT``. If a
leg ends otherwise before both lines have arrived, the pair is ``ABANDONED``. If both lines are
correct, it is ``RELAYED``, and a ``Joint`` takes over the legs. Anything else is ``FAILED``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from rdv import _knobs as knobs
from rdv._flows.joint import Joint, LegOwner
from rdv._line_matcher import LineMatcher
from rdv._observer import OneShotObserver
from rdv._system.sockets import push
from rdv._transport.liveness import watch
from rdv.errors import ProtocolError
from rdv.server.leg import Leg
from rdv.server.relay.idle import IdleWatch
from rdv.server.relay.joining import Tap, idle_time, join, tell
from rdv.server.relay.outcome import EndReason, Outcome, lost, tells_more, without_lines
from rdv.wire import Role, confirm_line, hello_line

if TYPE_CHECKING:
    from rdv.server.relay.joining import PairOwner

__all__ = ["Pair", "Tap"]


class Pair(LegOwner[Leg]):
    """
    A dialer and an acceptor with the same token, joined by the server.

    A ``serve`` hook gets it before the clients are answered. It may set :attr:`idle_timeout`,
    :attr:`rate_limit`, :attr:`quota`, :attr:`tap_dialer` and :attr:`tap_acceptor`, call
    :meth:`reject`, and follow the end with :meth:`when_ended`.

    :ivar token: the token, as it was sent.
    :ivar dialer, acceptor: their legs: ``addresses``, ``observed`` and ``user`` say who they are.
    :ivar idle_timeout: seconds without data after which a relayed pair is cut; 0 for no limit.
    :ivar rate_limit: relayed bytes per second in each direction; 0 for no limit.
    :ivar quota: relayed bytes in both directions together; 0 for no limit.
    :ivar tap_dialer, tap_acceptor: called with each piece of application bytes that one sends.
    :ivar outcome, end_reason: how and why it ended; None until that is known.
    :ivar id: a short random number that identifies it in the log.
    :ivar waited: how many seconds the first client waited.
    :ivar matched: when the second client arrived, in seconds of the reactor.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "_idle",
        "_joint",
        "_lines",
        "_living",
        "_one_has_ended",
        "_owner",
        "acceptor",
        "dialer",
        "end_reason",
        "id",
        "idle_timeout",
        "matched",
        "outcome",
        "quota",
        "rate_limit",
        "rejection",
        "tap_acceptor",
        "tap_dialer",
        "token",
        "waited",
    )

    def __init__(self, owner: PairOwner, first: Leg, second: Leg, idle: float | None) -> None:
        self._owner = owner
        self.token = first.token
        self.id = first.id
        self.matched = owner.clock.seconds()
        self.waited = self.matched - first.arrived
        is_dialer = first.role is Role.DIALER
        self.dialer, self.acceptor = (first, second) if is_dialer else (second, first)
        first.lease.meets(second.lease, self.token)
        self.idle_timeout = idle_time(idle, first.user or second.user)
        self.rate_limit = owner.relaying.limits.rate
        self.quota = owner.relaying.limits.quota
        self.tap_dialer: Tap | None = None
        self.tap_acceptor: Tap | None = None
        self.outcome: Outcome | None = None
        self.end_reason: EndReason | None = None
        self.rejection: tuple[int, str] | None = None
        #: The lines that have not arrived yet, by leg.
        self._lines = {
            self.dialer: LineMatcher(confirm_line(self.token)),
            self.acceptor: LineMatcher(hello_line(self.token)),
        }
        self._living: tuple[Leg, ...] = ()  # while a line is missing
        self._one_has_ended = False
        self._joint: Joint | None = None
        self._idle: IdleWatch | None = None
        self._ended: OneShotObserver[None] = OneShotObserver()

    @property
    def dialer_bytes(self) -> int:
        """How many application bytes from the dialer have been relayed so far."""
        return self._count(self.dialer)

    @property
    def acceptor_bytes(self) -> int:
        """How many application bytes from the acceptor have been relayed so far."""
        return self._count(self.acceptor)

    def _count(self, leg: Leg) -> int:
        return 0 if self._joint is None else self._joint.flow_of(leg).count

    def reject(self, status: int, reason: str) -> None:
        """
        Refuse the pair with an HTTP status of 400 or above: both clients get that instead of a 101.
        Only for use in a ``serve`` hook, before it returns.
        """
        knobs.whole("status", status, 400, 599)
        knobs.instance("reason", reason, str, "text")
        if self._living or self._ended.fired:
            raise RuntimeError("the pair has already been answered")
        self.rejection = (status, reason)
        self.explain(EndReason.REFUSED)

    def when_ended(self) -> Deferred[Pair]:
        """
        A new Deferred that fires with this pair when both connections are closed. Cancelling it has
        no other effect.
        """
        # The result of this one is None: the pair would be a cycle.
        return self._ended.when_fired().addCallback(lambda _: self)

    def tell(self, leg: Leg) -> None:
        """Answer a client with the addresses of the other one, in one write."""
        self._living = (self.dialer, self.acceptor)
        tell(leg, self.other(leg), self._owner.ports, self._owner.relaying.limits.allowed)

    def start(self, told: Leg | None = None) -> None:
        """Answer both, except the one ``told`` already, and read what they send."""
        self.dialer.owner = self.acceptor.owner = self
        for leg in (self.dialer, self.acceptor):
            if leg is not told:
                self.tell(leg)

    def other(self, leg: Leg) -> Leg:
        """The leg of the pair that is not ``leg``."""
        return self.acceptor if leg is self.dialer else self.dialer

    def explain(self, reason: EndReason) -> None:
        """Set the reason for the end. The first one counts."""
        self.end_reason = self.end_reason or reason

    def abort(self, reason: EndReason = EndReason.ABORTED) -> None:
        """Cut both connections now. The outcome is ``FAILED`` if there is none yet."""
        self.explain(reason)
        self._decide(Outcome.FAILED)
        if self._joint is not None:
            self._joint.abort()
        else:
            for leg in self._living:
                leg.transport.abortConnection()

    def give_up(self) -> None:
        """No path was chosen in time. If the server does not relay, this is a clean end."""
        if self._owner.relaying.limits.allowed:
            self.abort(EndReason.HANDSHAKE_TIMEOUT)
            return
        self.explain(EndReason.NO_RELAY)
        self._decide(Outcome.FAILED)
        self._close()

    # Events of the legs until both lines have arrived.

    def leg_received(self, leg: Leg, data: bytes) -> None:
        if self.outcome is not None:  # they are being closed
            return
        line = self._lines.get(leg)
        if line is None:
            if self._owner.relaying.limits.allowed:
                self._joined().leg_received(leg, data)
            return
        try:
            rest = line.feed(data)
        except ProtocolError:
            self.abort(EndReason.WRONG_LINE)
            return
        if rest is not None:
            self._line_came(leg, line.expected, rest)

    def _line_came(self, leg: Leg, line: bytes, rest: bytes) -> None:
        del self._lines[leg]
        if self._owner.relaying.limits.allowed:
            # A client with a line relies on this relay: if our process dies, that is not its end.
            self.other(leg).break_on_exit(True)
            self.other(leg).transport.write(line)
            if rest:
                self._joined().leg_received(leg, rest)
        elif leg is self.dialer:
            self.give_up()
            return
        if not self._one_has_ended:
            if not self._lines:
                self._relay()
            return
        self._end_without_lines(dialer_closed=leg is self.acceptor)
        if leg is self.acceptor:
            self._close()
        else:  # it chose the relay, and must not take the acceptor's end for the stream's
            self.abort()

    def _joined(self) -> Joint:
        if self._joint is None:
            self._joint = join(self, self._owner)
        return self._joint

    def _relay(self) -> None:
        self._decide(Outcome.RELAYED)
        # The kernel takes over with the next bytes: many pairs never send more than their ends.
        splicer = self._owner.splicer
        self._joined().begin(self._joint_gone, None if splicer is None else splicer.take_over)
        watch(self._owner.clock, self.dialer.transport, self.acceptor.transport)
        self._owner.pair_joined(self)
        if self.idle_timeout:
            cut = partial(self.abort, EndReason.IDLE)
            times = self._owner.relaying.idle_times
            self._idle = IdleWatch(times, self._joined(), self.idle_timeout, cut)

    def leg_ended(self, leg: Leg) -> None:
        if self.outcome is not None:
            return
        self.explain(lost(leg))
        if not tells_more(self.other(leg), self._lines.get(self.acceptor)):
            self._end_without_lines(dialer_closed=leg is self.dialer)
            self._close()
            return
        # The dialer is not notified: it may be choosing the relay, and this is not a stream's end.
        self._one_has_ended = True
        if leg is self.dialer:
            self._joined().flow_of(leg).end()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        # Closing the other one may lose it immediately.
        living = self._living = tuple(each for each in self._living if each is not leg)
        self.end_reason = self.end_reason or lost(leg, reason)
        if self.outcome is None:
            in_order = isinstance(reason.value, ConnectionDone)
            self._end_without_lines(dialer_closed=in_order and leg is self.dialer)
            if in_order or leg in self._lines:
                self._close()
            else:
                # A reset may be that of its direct path, too, and its peer's line may be on the
                # way.
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

    def _joint_gone(self, joint: Joint) -> None:
        leg, failure = joint.broken or (joint.first, None)
        self.explain(lost(self.dialer if leg is self.dialer else self.acceptor, failure))
        self._end()

    def _end(self) -> None:
        if self._idle is not None:
            self._idle.stop()
            self._idle = None  # break a reference cycle
        self._owner.pair_ended(self)
        self.conclude()

    def conclude(self) -> None:
        """The pair is over; one that was never started has failed."""
        self._living = ()
        self._decide(Outcome.FAILED)
        self._ended.fire(None)
