"""
From the server's answer to the choice: all ways to the peer at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Coroutine
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._system.tcp_info import round_trip
from rdv.addresses import Address, is_local
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.hole_punching import HolePuncher
from rdv.client.dial.shared_port import SharedPort
from rdv.client.dial.targets import behind_proxy, is_global, ports_change, same_site, targets
from rdv.client.race.choice import Choice, first
from rdv.client.race.horizon import Sight, handshake_time, horizon
from rdv.client.race.inbound import Inbound
from rdv.client.race.joining import Stream
from rdv.client.race.witness import Witness
from rdv.client.reasons import NO_RELAY, describe, without_stack
from rdv.client.trace import What
from rdv.client.tracing.candidate_trace import CandidateTrace
from rdv.errors import NoConnection, NoRelay, NotProven
from rdv.wire import Answer, Role

__all__ = ["Contest"]

log = Logger()

#: When the relay has gone, seconds for a direct CONFIRM or HELLO that is still on its way: two
#: retransmissions.
_RELAY_LOST_GRACE = 5.0


class Contest:
    """
    The race of one attempt. It ends with the choice, unless that is the relay and the stream can
    move: it then continues for a direct path (:meth:`join`).

    :param relay: the connection on which the server answered.
    :param inbound: the incoming connections; :meth:`run` begins their handshakes.
    :param own: our own addresses; the peer got the first of them.
    :ivar ends: when the time for a path is over, by the reactor's clock.
    """

    def __init__(
        self,
        context: Context,
        port: SharedPort,
        inbound: Inbound,
        relay: Candidate,
        answer: Answer,
        own: Collection[Address],
    ) -> None:
        settings = context.settings
        self._relays = answer.relays
        # Whether a peer may have been on any of the connections.
        self._has_come = answer.relays
        # The acceptor does not choose, and without address spaces there is only the relay.
        chooses = context.role is Role.DIALER and settings.spaces
        self._chooser = settings.chooser if chooses else _at_once
        self._context = context
        self._reactor = context.reactor
        self._inbound = inbound
        self._relay = relay
        # A server that does not see its clients' addresses does not name all of the peer's.
        self._knows_the_peer = bool(answer.peer_addresses) and answer.observed is not None
        self._is_proxied = settings.proxy is not None
        if self._is_proxied:
            answer = behind_proxy(answer)
        self._targets = targets(answer, own, port.number, settings.spaces, settings.lowest_port)
        self._peer_ips = {address.ip for address in answer.peer_addresses}
        # The relay does not wait for connections from other addresses.
        self._awaited = self._peer_ips - {each.address.ip for each in self._targets if each.foreign}
        self._same_site = same_site(answer)
        self._ports_change = ports_change(answer, own, port.number)
        self._begun = self._reactor.seconds()
        self.ends = self._begun + settings.handshake_timeout
        # The peer cannot dial us if it was given no address.
        self._can_be_dialled = bool(own) or answer.observed is not None
        self._puncher = HolePuncher(context, port, self._targets, self._reconsider)
        needs_one = settings.witness and context.secured is None and context.role is Role.ACCEPTOR
        self._witness = Witness(context, relay, answer) if needs_one else None
        self._choice = Choice(context.turn)
        self._contending: list[Deferred[Candidate]] = []
        self._patience: float | None = None  # the relay's, once it is ready
        self._relay_is_due = False
        self._reasons: dict[str, str] = {}

    async def run(self) -> Candidate:
        """
        :return: the chosen candidate; the others are still open, except for dials. If its stream
            can move, dials also continue: call :meth:`join` or :meth:`end`.
        :raises NoConnection: when there is none, or not in time.
        :raises NotProven: the same, for a secured stream.
        :raises NoRelay: when there can be no path: the server does not relay, and the client does
            not make direct connections.
        """
        self._contending = self._contenders()
        race = first(self._contending, _can_move)
        limit = self._reactor.callLater(self._context.settings.handshake_timeout, race.cancel)
        self._relay.closed.addCallback(lambda _: _shorten(self._reactor, limit))
        try:
            winner = await race
        except (NoConnection, CancelledError) as error:
            self._puncher.stop()
            if limit.active() and isinstance(error, CancelledError):
                raise
            for address, refusal in self._puncher.refused.items():
                self._reasons.setdefault(str(address), describe(refusal))
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
            reasons = reasons or "nobody answered"
            if not (self._relays or self._context.settings.spaces):
                raise NoRelay(f"no path to the peer: {reasons}") from None
            if self._context.secured is not None:
                raise NotProven(reasons, has_come=self._has_come) from None
            raise NoConnection(f"no path to the peer: {reasons}") from None
        finally:
            if limit.active():
                limit.cancel()
        if not _can_move(winner):
            self._puncher.stop()
        return winner

    def join(self, stream: Stream, moved: Callable[[Candidate], object]) -> None:
        """
        Continue: from now on, candidates join the stream that has begun on the relay.

        :param moved: called with the candidate that has taken over. End the race then.
        """
        self._choice.move(stream, self._context.role, moved)

    def end(self) -> None:
        """The race is over; the candidates are still open, except for dials."""
        self._puncher.stop()
        for contending in self._contending:
            contending.cancel()

    def _contenders(self) -> list[Deferred[Candidate]]:
        contenders = [self._entrant("relay", self._relay_contends(), self._relay.trace)]
        if not self._context.settings.spaces:
            return contenders
        self._inbound.begin(self._peer_ips, self._inbound_enters, self._may_be_peer)
        contenders.append(self._inbound.first)
        for target in self._targets:
            trace = self._context.trace.way("dial", target.address, guessed=target.guessed)
            dial = self._puncher.dial(target, self._contend, trace)
            contenders.append(self._entrant(str(target.address), dial, trace))
        return contenders

    def _may_be_peer(self, ip: IPv4Address | IPv6Address) -> bool:
        """
        Whether an address that the server did not name may be the peer's: an acceptor sends the
        token only to those. Within a site, a path may go through any of its NATs.
        """
        if self._context.role is Role.DIALER or not self._knows_the_peer:
            return True
        return self._same_site and not is_global(ip)

    def _inbound_enters(self, candidate: Candidate) -> Deferred[Candidate]:
        return self._entrant("inbound", self._contend(candidate, inbound=True), candidate.trace)

    def _entrant(
        self, name: str, contends: Coroutine[Any, Any, Candidate], trace: CandidateTrace
    ) -> Deferred[Candidate]:
        """Start a contender, and record why it drops out."""

        def dropped(failure: Failure) -> Failure:
            over = failure.check(CancelledError)
            trace.lost(None if over else failure.value)
            if not over:
                self._reasons[name] = describe(failure.value)
                log.debug("{name} dropped out: {reason}", name=name, reason=self._reasons[name])
            return without_stack(failure)

        return Deferred.fromCoroutine(contends).addErrback(dropped)

    async def _contend(self, candidate: Candidate, *, inbound: bool = False) -> Candidate:
        candidate.closed.addCallback(lambda _: self._reconsider())
        self._has_come = True
        await candidate.shaken()
        if self._witness is not None:
            await self._witness.believes(candidate)
        address = candidate.peer_address
        candidate.detour = self._same_site and not is_local(address)
        patience = self._chooser(candidate)
        candidate.trace.waits(patience, "a shorter path may open")
        await candidate.stays(patience)
        candidate.suspect = inbound and address in self._puncher.refused
        if candidate.suspect:
            candidate.trace(What.SUSPECT)
        return await self._choice.take(candidate)

    async def _relay_contends(self) -> Candidate:
        if not self._relays:
            raise NoConnection(NO_RELAY)
        relay = await self._relay.shaken()
        if self._witness is not None:
            self._witness.relay_confirmed()
        relay.horizon = self._horizon()
        patience = self._patience = self._chooser(relay)
        if patience == math.inf or (patience > 0 and not self._nothing_can_come()):
            relay.trace.waits(patience, "a direct path may open")
            await relay.stays(patience)
        self._relay_is_due = True
        if patience > 0:
            left = self._handshake_time_left()
            relay.trace.waits(left, "a direct path is in its handshake")
            await relay.stays(left)
        return await self._choice.take(relay)

    # Whether the relay still has something to wait for.

    def _horizon(self) -> float:
        # To a proxy, the kernel does not measure how far away the server is.
        trip = None if self._is_proxied else round_trip(self._relay.transport)
        since = self._reactor.seconds() - self._begun
        return horizon(Sight(trip, since, self._relay.exchange.can_move, self._ports_change))

    def _handshake_time_left(self) -> float:
        """
        Seconds that direct connections may still need for their handshakes. Those from addresses
        that are not the peer's do not count.
        """
        can_move = self._relay.exchange.can_move
        ends = [
            each.since + handshake_time(round_trip(each.transport), can_move=can_move)
            for each in self._context.candidates
            if each.connected and not each.is_relay and each.peer_address.ip in self._awaited
        ]
        return max(0.0, max(ends, default=-math.inf) - self._reactor.seconds())

    def _nothing_can_come(self) -> bool:
        possible = not self._targets and self._can_be_dialled
        return self._puncher.hopeless and not possible and not self._handshake_time_left()

    def _reconsider(self) -> None:
        """A direct candidate has failed: the relay may no longer have anything to wait for."""
        due = self._relay_is_due and not self._handshake_time_left()
        if due or (self._nothing_can_come() and self._patience != math.inf):
            self._relay.hurry()


def _can_move(winner: Candidate) -> bool:
    return winner.is_relay and winner.exchange.can_move


def _at_once(candidate: Candidate) -> float:
    return 0.0


def _shorten(clock: IReactorTime, limit: IDelayedCall) -> None:
    if limit.active() and limit.getTime() - clock.seconds() > _RELAY_LOST_GRACE:
        limit.reset(_RELAY_LOST_GRACE)
