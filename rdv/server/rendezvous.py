"""
Composes the lobby, the ``serve`` hook, pairs, counters and shutdown.

The ``Lobby`` knows tokens, roles and one timer for all clients. Before a match, both legs are
checked once more (a FIN, reset or early data may be unread): no client is matched with a dead one.
A ``serve`` hook is asked first and may refuse. A client that leaves meanwhile cancels the hook; the
other returns to the lobby. Then both are answered.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rdv import _knobs as knobs
from rdv._deadlines import Deadlines
from rdv._flows.joint import LegOwner
from rdv._flows.kernel.takeover import Splicer
from rdv._system.clock import monotonic
from rdv._system.sockets import tune
from rdv.server.accounting.notes import note_client, note_end, note_match
from rdv.server.accounting.record import PairListener, record_of, tell_of_end
from rdv.server.accounting.statistics import Present, Statistics
from rdv.server.closing.drain import Drain, Successor
from rdv.server.closing.legs import ClosingLegs, Refusing
from rdv.server.descriptors.budget import DescriptorBudget
from rdv.server.leg import Leg
from rdv.server.limits.admission import Admission
from rdv.server.limits.numbers import NO_LIMITS, Limit, Limits
from rdv.server.meeting.decision import Decisions, ServeHook
from rdv.server.meeting.lobby import Lobby
from rdv.server.meeting.release import HeldBack, hold_back
from rdv.server.ports import Ports
from rdv.server.refusals import EARLY, ELSEWHERE, FULL, NOBODY, REPLACED, SHUTDOWN
from rdv.server.relay.limits import Relaying, RelayLimits
from rdv.server.relay.outcome import EndReason
from rdv.server.relay.pair import Pair

__all__ = ["Rendezvous", "ServeHook"]


class Rendezvous(LegOwner[Leg]):
    """
    Matches clients. All resources of a server share one. It does no networking of its own.

    :param reactor: for its timers, and to watch descriptors if supported.
    :param lobby_timeout: seconds that a client waits for its peer before a 408; 0 for no limit.
    :param handshake_timeout: seconds from the 101 until both lines must have arrived, or one side
        must have left; also the time limit of the ``serve`` hook; 0 for no limit.
    :param idle_timeout: seconds without data after which a relayed pair is cut; 0 for no limit;
        None for 600, or 3600 if either client has a user. A ``serve`` hook may override it.
    :param serve: called with each :class:`Pair` before the clients are answered; a Deferred or a
        coroutine is awaited. If it fails, both clients get a 500 and the failure is logged.
    :param align: answer the nearer client later, so that both get their 101 at the same moment.
    :param relay: bandwidth limits for relayed pairs.
    :param limits: limits per address; by default there are none.
    :raises TypeError: when a parameter has the wrong type; the message names it.
    :raises ValueError: when a parameter is out of range; likewise.
    :ivar decisions: calls the hook; None if there is none.
    :ivar admission: applies the limits; :attr:`budget` keeps some descriptors free.
    :ivar ports: the ports that clients are told about; empty by default.
    :ivar newcomers: each is called with every new client; the first one counts it.
    :ivar listeners: each gets the record of every pair that has ended; the first one logs it.
    :ivar worker: the number of this process among several workers.
    :ivar holders: returns connections of refused clients that have not closed yet.
    :ivar statistics: the counters; :attr:`present` holds the current clients and pairs.
    :ivar closing: whether new clients are refused. With a :attr:`successor`, they go there instead.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        lobby_timeout: float = 300.0,
        handshake_timeout: float = 30.0,
        idle_timeout: float | None = None,
        serve: ServeHook | None = None,
        align: bool = True,
        relay: RelayLimits | None = None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        knobs.with_methods("reactor", reactor, ("callLater", "seconds"), "a reactor")
        knobs.seconds("lobby_timeout", lobby_timeout)
        knobs.seconds("handshake_timeout", handshake_timeout)
        self.clock = reactor = monotonic(reactor)
        self.splicer = Splicer.for_reactor(reactor)
        self.ports = Ports()
        self.idle_timeout = knobs.optional_seconds("idle_timeout", idle_timeout)
        self.relaying = Relaying(reactor, relay)
        self.align = knobs.instance("align", align, bool, "True or False")
        self.statistics = Statistics()
        self._lobby: Lobby[Leg] = Lobby(
            reactor,
            lobby_timeout,
            lambda leg: self._refuse(leg, *NOBODY),
            lambda leg: self._refuse(leg, *REPLACED),
            lambda leg: self._refuse(leg, *FULL),
        )
        self._handshakes: Deadlines[Pair] = Deadlines(reactor, handshake_timeout, Pair.give_up)
        self._closing_legs = ClosingLegs(reactor, self._check_empty)
        self.holders = self._closing_legs.holders
        refusing = Refusing(self.statistics, self._closing_legs)
        self._refuse, self._may = refusing.refuse, refusing.may
        self._refuse_both = refusing.refuse_both
        took = self.statistics.hook_times.add
        self.decisions = (serve := knobs.function("serve", serve)) and Decisions(
            reactor, handshake_timeout, serve, self._decided, self._broken_off, took
        )
        self.budget = DescriptorBudget(reactor)
        self.admission = Admission(reactor, knobs.instance("limits", limits, Limits, "Limits"))
        self._pairs: set[Pair] = set()
        self._drain = Drain(reactor, self._abort_pairs, self.abort)
        self.closing = False
        self.successor: Successor | None = None
        self.present = Present(self._lobby, self._pairs, self._handshakes)
        self.outcomes = self.statistics.outcomes  #: The number of pairs by outcome.
        self.listeners: list[PairListener] = [note_end, self.statistics.ended]
        self.newcomers: list[Callable[[Leg], object]] = [self.statistics.came]
        self.worker: int | None = None

    @property
    def waiting(self) -> int:
        """The number of clients waiting in the lobby."""
        return len(self._lobby)

    @property
    def pairs(self) -> int:
        """The number of pairs that have been introduced and are still connected."""
        return len(self._pairs)

    def has_room(self, leg: Leg, transport: object) -> bool:
        """Whether there is a descriptor for a client on ``transport``, so that it may enter."""
        return self.budget.has_room(transport, leg, self._lobby)

    def is_full(self, transport: object) -> bool:
        """Whether there is no room for a client on ``transport``, unless its peer is waiting."""
        may_wait = self.budget.fit_to_wait(self.waiting) or self._lobby.has_crowd()
        return not (may_wait and self.budget.fits(transport, False))

    def enter(self, leg: Leg, early: bytes = b"", waited: float = 0.0) -> None:
        """
        Match a client, or let it wait.

        :param leg: connected; this rendezvous is its owner.
        :param early: data that the client sent after its request; any data is an error.
        :param waited: how many seconds it has already waited in another process.
        """
        leg.arrived = self.clock.seconds() - waited
        for newcomer in self.newcomers:
            newcomer(leg)
        tune(leg.transport)
        self._take_in(leg, early, has_waited=waited > 0)

    def _take_in(self, leg: Leg, early: bytes = b"", *, has_waited: bool) -> None:
        if has_waited and self._lobby.rival(leg) is not None:
            self._refuse(leg, *REPLACED)  # the one that arrived meanwhile is newer
        elif early and not self.closing:
            self._refuse(leg, *EARLY)
        elif self._drain.has_begun:
            self._send_away(leg)
        elif not self._lobby.knows(leg.token):
            self._wait(leg)  # if it has sent data or left since, the reactor reads that next
        elif leg.is_silent():
            waiting = self._lobby.partner(leg)
            # A client that has just gone is still in the lobby until the reactor reads its end.
            if waiting is None or not waiting.is_silent():
                self._wait(leg)
            elif self._may(Limit.PAIRS, leg):
                self._lobby.leave(waiting)
                if self._may(Limit.PAIRS, waiting):
                    self._meet(waiting, leg)
                else:
                    self._wait(leg)

    def close(self, drain: float = 0.0, successor: Successor | None = None) -> Deferred[None]:
        """
        Refuse all waiting and new clients, and let the pairs end by themselves.

        :param drain: seconds after which the remaining pairs are cut.
        :param successor: gets those clients instead; a later call may omit it.
        :return: fires when no connections are left. Cancelling it has no effect.
        """
        if not self.closing:
            self.closing, self.successor = successor is None, successor
            self._drain.begin(drain)
            for leg in self._lobby:
                self._lobby.leave(leg)
                self._send_away(leg)
            if self.decisions is not None and self.closing:
                for pair in self.decisions.cancel():
                    self._refuse_both(pair, *SHUTDOWN)
            self._check_empty()
        return self._drain.when_over()

    def abort(self) -> None:
        """Cut every pair and every refused client that has not yet closed."""
        self._abort_pairs()
        self._closing_legs.abort()

    def _abort_pairs(self) -> None:
        for pair in list(self._pairs):
            pair.abort(EndReason.SHUTDOWN)

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """See :class:`LegOwner`: a waiting client must be silent."""
        self._lobby.leave(leg)
        self._refuse(leg, *EARLY)

    def leg_ended(self, leg: Leg) -> None:
        self._lobby.leave(leg)
        note_client("left", leg)
        self._closing_legs.close(leg)

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        self._lobby.leave(leg)
        note_client("left", leg)

    def _wait(self, leg: Leg) -> None:
        if self._may(Limit.WAITING, leg):
            leg.lease.waits(leg.token)
            self._lobby.enter(leg, self.budget.most_waiting)
            note_client("waiting", leg)
            leg.shrink()

    def _send_away(self, leg: Leg) -> None:
        if self.successor is None:
            self._refuse(leg, *SHUTDOWN)
        elif not self.successor(leg):  # it may come again immediately
            self._refuse(leg, *ELSEWHERE, later=0)

    def _meet(self, first: Leg, second: Leg) -> None:
        pair = Pair(self, first, second, self.idle_timeout)
        if self.decisions is None:
            self._start(pair)
        else:
            self.decisions.ask(pair)

    def _broken_off(self, pair: Pair, gone: Leg, told: Leg | None = None) -> None:
        pair.dialer.owner = pair.acceptor.owner = self
        other = pair.other(gone)
        if other is told:
            self._closing_legs.close(other)
        else:
            self._wait_again(other)
        if told is not None:  # it has failed: one of them was not told about a peer
            self.pair_ended(pair)
        pair.conclude()
        self._check_empty()

    def _wait_again(self, leg: Leg) -> None:
        leg.rename()  # its next pair is another one
        self._take_in(leg, has_waited=True)

    def _decided(self, pair: Pair) -> None:
        if pair.rejection is not None:
            self._refuse_both(pair, *pair.rejection)
            self._tell_of_end(pair)
            return
        pair.dialer.owner = pair.acceptor.owner = self
        silent = [leg for leg in (pair.dialer, pair.acceptor) if leg.is_silent()]
        if len(silent) == 2:
            self._start(pair)
            return
        for leg in silent:
            self._wait_again(leg)
        pair.conclude()
        self._check_empty()

    def _start(self, pair: Pair) -> None:
        hold = hold_back(pair.dialer, pair.acceptor) if self.align else None
        note_match(pair, hold)
        self.statistics.matched(pair)
        self._pairs.add(pair)
        self._handshakes.add(pair)
        if hold is None:
            pair.start()
        else:
            HeldBack(self.clock, pair, hold, self._broken_off)

    def pair_joined(self, pair: Pair) -> None:
        self._handshakes.discard(pair)

    def pair_ended(self, pair: Pair) -> None:
        self._handshakes.discard(pair)
        self._pairs.discard(pair)
        self._tell_of_end(pair)
        self._check_empty()

    def _tell_of_end(self, pair: Pair) -> None:
        tell_of_end(record_of(pair, self.clock.seconds(), self.worker), self.listeners)

    def _check_empty(self) -> None:
        is_anybody_there = self._pairs or self.decisions or len(self._closing_legs)
        if self._drain.is_under_way and not is_anybody_there:
            if self.splicer is not None:
                self.splicer.pipes.close()
            self._drain.end()
