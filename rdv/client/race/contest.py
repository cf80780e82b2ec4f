"""
From the server's answer to the choice: every way to the peer at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv.addresses import Address, is_local
from rdv.client.candidate import Candidate
from rdv.client.candidates import Candidates
from rdv.client.dial.dialling import Dialling
from rdv.client.dial.shared_port import IClientReactor, SharedPort
from rdv.client.dial.targets import Target, same_site
from rdv.client.race.choice import Chooser, choose, first
from rdv.client.race.inbound import Inbound
from rdv.client.reasons import why
from rdv.client.trace import What
from rdv.client.tracer import Tracer, Way
from rdv.errors import NoConnection
from rdv.wire import Answer

__all__ = ["Contest"]

log = Logger()

#: When the relay has gone, seconds for a direct CONFIRM or HELLO that is still on its way: two
#: retransmissions.
_RELAY_LOST_GRACE = 5.0
#: Seconds for the handshake of a direct connection, in which the relay does not win over it.
_HANDSHAKE_TIME = 1.0


class Contest:
    """
    The race of one attempt.

    :param relay: the connection on which the server answered.
    :param inbound: the listener, which has not begun yet.
    :param targets: where to dial.
    :param own: the addresses that the peer was told.
    :param timeout: seconds for all of it.
    :param tracer: told of the ways.
    """

    def __init__(
        self,
        reactor: IClientReactor,
        chooser: Chooser,
        port: SharedPort,
        inbound: Inbound,
        relay: Candidate,
        answer: Answer,
        targets: Sequence[Target],
        own: Collection[Address],
        candidates: Candidates,
        timeout: float,
        tracer: Tracer | None = None,
    ) -> None:
        self._reactor = reactor
        self._chooser = chooser
        self._inbound = inbound
        self._relay = relay
        self._targets = targets
        self._candidates = candidates
        self._timeout = timeout
        self._tracer = tracer
        self._peer_ips = {address.ip for address in answer.peer_addresses}
        self._same_site = same_site(answer)
        # Whom it was told nothing, the peer cannot dial.
        self._can_be_dialled = bool(own) or answer.observed is not None
        self._dialling = Dialling(reactor, port, targets, timeout, self._reconsider)
        self._choice = DeferredLock()
        self._patience: float | None = None  # of the relay, when it is ready
        self._relay_is_due = False
        self._reasons: dict[str, str] = {}

    async def relay_only(self) -> Candidate:
        """:raises NoConnection: when the relay does not come to stand."""
        return await self._decide([self._relay_enters()])

    async def all_ways(self) -> Candidate:
        """
        :return: the candidate that was chosen; the others are still open, except for dials.
        :raises NoConnection: when there is none, or not in time.
        """
        contenders = [self._relay_enters(), self._inbound.first]
        self._inbound.begin(self._peer_ips, self._inbound_enters)
        for target in self._targets:
            way = None
            if self._tracer is not None:
                way = self._tracer.way("dial", target.address, guessed=target.guessed)
            dial = self._dialling.dial(target, self._candidates.make, self._contend, way)
            contenders.append(self._entrant(str(target.address), dial, way))
        return await self._decide(contenders)

    def _relay_enters(self) -> Deferred[Candidate]:
        return self._entrant("relay", self._relay_contends(), self._relay.way)

    def _inbound_enters(self, candidate: Candidate) -> Deferred[Candidate]:
        return self._entrant("inbound", self._contend(candidate, inbound=True), candidate.way)

    async def _decide(self, contenders: list[Deferred[Candidate]]) -> Candidate:
        race = first(contenders)
        race.addBoth(self._stop_dialling)
        limit = self._reactor.callLater(self._timeout, race.cancel)
        self._relay.closed.addCallback(lambda _: _shorten(self._reactor, limit))
        try:
            return await race
        except (NoConnection, CancelledError) as error:
            if limit.active() and isinstance(error, CancelledError):
                raise
            for address, refusal in self._dialling.refused.items():
                self._reasons.setdefault(str(address), why(refusal))
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
            raise NoConnection(f"no path to the peer: {reasons or 'nobody answered'}") from None
        finally:
            if limit.active():
                limit.cancel()

    def _stop_dialling(self, result: Any) -> Any:
        self._dialling.stop()
        return result

    def _entrant(
        self, name: str, contends: Coroutine[Any, Any, Candidate], way: Way | None
    ) -> Deferred[Candidate]:
        """Let somebody take part, and remember why it dropped out."""

        def dropped(failure: Failure) -> Failure:
            over = failure.check(CancelledError)
            if way is not None:
                way.lost(None if over else failure.value)
            if not over:
                self._reasons[name] = why(failure.value)
                log.debug("{name} dropped out: {reason}", name=name, reason=self._reasons[name])
            return failure

        return Deferred.fromCoroutine(contends).addErrback(dropped)

    async def _contend(self, candidate: Candidate, *, inbound: bool = False) -> Candidate:
        candidate.closed.addCallback(lambda _: self._reconsider())
        await candidate.shaken()
        address = candidate.peer_address
        candidate.detour = self._same_site and not is_local(address)
        patience = self._chooser(candidate)
        if candidate.way is not None and patience > 0:
            candidate.way.waits(patience, "a shorter path may come")
        await candidate.stays(patience)
        candidate.suspect = inbound and address in self._dialling.refused
        if candidate.way is not None and candidate.suspect:
            candidate.way(What.SUSPECT)
        return await choose(candidate, self._choice)

    async def _relay_contends(self) -> Candidate:
        relay = await self._relay.shaken()
        patience = self._patience = self._chooser(relay)
        if patience == math.inf or (patience > 0 and not self._nothing_can_come()):
            if relay.way is not None:
                relay.way.waits(patience, "a direct path may come")
            await relay.stays(patience)
        self._relay_is_due = True
        if patience > 0:
            left = self._handshake_time_left()
            if relay.way is not None and left > 0:
                relay.way.waits(left, "a direct path is in its handshake")
            await relay.stays(left)
        return await choose(relay, self._choice)

    # Whether the relay still has something to wait for.

    def _handshake_time_left(self) -> float:
        """Seconds that direct connections, those of strangers not counted, may still need."""
        begun = [
            each.since
            for each in self._candidates
            if each.connected and not each.is_relay and each.peer_address.ip in self._peer_ips
        ]
        latest = max(begun, default=-math.inf)
        return max(0.0, latest + _HANDSHAKE_TIME - self._reactor.seconds())

    def _nothing_can_come(self) -> bool:
        possible = not self._targets and self._can_be_dialled
        return self._dialling.hopeless and not possible and not self._handshake_time_left()

    def _reconsider(self) -> None:
        """A direct way has come to nothing."""
        due = self._relay_is_due and not self._handshake_time_left()
        if due or (self._nothing_can_come() and self._patience != math.inf):
            self._relay.hurry()


def _shorten(clock: IReactorTime, limit: IDelayedCall) -> None:
    if limit.active() and limit.getTime() - clock.seconds() > _RELAY_LOST_GRACE:
        limit.reset(_RELAY_LOST_GRACE)
