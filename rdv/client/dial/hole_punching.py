"""
TCP hole punching: dials the peer's addresses, and repeats that as long as it makes sense.

A SYN that meets a NAT or firewall without a mapping may be refused (RST, ICMP), and the dial fails
although the peer is there: its own SYN has not left yet. Two SYNs that cross pass both boxes, so
the response to a refusal is to dial again immediately from the same port. The chance that they
cross is about ``2D / (2D + reaction)``, with D the delay between the two sites: good from a
millisecond on, small within one room. There it takes many dials, and both sides must make theirs at
the same moment: the dials come in bursts that begin with the attempt, because the server lets both
sides begin at the same time.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rdv._system.interfaces import route_to
from rdv.addresses import Address
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.pacing import Pacing
from rdv.client.dial.shared_port import NobodyListens, SharedPort
from rdv.client.dial.targets import SELDOM, Target
from rdv.client.trace import What
from rdv.client.tracing.candidate_trace import CandidateTrace

__all__ = ["SYN_BUDGET", "HolePuncher"]

log = Logger()

TOO_MANY = "too many dials recently: refused dials are not repeated for now"

#: Errors that mean "not yet" as long as the peer's own SYN may be on its way: a reset, and what
#: systems report for ICMP errors (EACCES for a filter, with ICMPv6).
_REFUSALS = frozenset(
    (
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ECONNRESET,
        errno.EACCES,
        errno.ENOPROTOOPT,
        errno.EPROTO,
    )
)
#: Errors when there is a connection from the other direction, or it is not completely closed yet.
_TAKEN = frozenset((errno.EADDRNOTAVAIL, errno.EADDRINUSE))
#: Errors when there is no route to an address; each may also mean something else.
_NO_ROUTE = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL))
#: SYNs of an unanswered dial while most attempts last: the system retransmits after 1, 3 and 7
#: seconds.
_FIRST_DIAL = 4
#: Seconds of refusals after which the race no longer waits for an address.
_HOPELESS_AFTER = 1.0

#: How many times an attempt may redial addresses at which the peer is known to be, in total. The
#: first dial of each address is not counted: with ten addresses and four guesses there are 14 of
#: them. Addresses that the peer only claims have another budget.
SYN_BUDGET = 700


def _to_nobody() -> None:
    """Called instead of ``gave_up`` when the race is over."""


async def _closed(candidate: Candidate) -> None:
    gone: Deferred[None] = Deferred()

    def closed(_: object) -> None:
        if not gone.called:  # cancelled
            gone.callback(None)

    candidate.closed.addCallback(closed)
    await gone


class HolePuncher:
    """
    All the dials of one attempt. They share a budget of SYNs, and also one for all attempts of a
    client.

    :param targets: all targets to dial.
    :param gave_up: called when :attr:`hopeless` has become true.
    :ivar refused: the addresses that have refused a dial, with the last refusal.
    """

    def __init__(
        self,
        context: Context,
        port: SharedPort,
        targets: Sequence[Target],
        gave_up: Callable[[], object],
        random: Random | None = None,
    ) -> None:
        self._context = context
        self._reactor = context.reactor
        self._port = port
        self._gave_up = gave_up
        self._random = random or Random()
        self._budget = SYN_BUDGET
        self._stopped = self._exhausted = False
        self._ignored = {target.address for target in targets}
        self._hopeful = {each.address for each in targets if not (each.guessed or each.foreign)}
        self.refused: dict[Address, Exception] = {}
        # The time at which the relay stops waiting must not reveal what foreign addresses answer.
        foreign = any(each.foreign and route_to(each.address.ip) for each in targets)
        self._veil = self._reactor.callLater(_HOPELESS_AFTER, self._unveil) if foreign else None
        port.ignore_syns(self._ignored)

    @property
    def hopeless(self) -> bool:
        """
        Whether every address has refused for a while, has no route, or was given up. Guessed
        addresses do not count. Foreign ones count as given up after exactly that while, whatever
        they answer.
        """
        return not self._hopeful and self._veil is None

    async def dial(
        self,
        target: Target,
        contend: Callable[[Candidate], Coroutine[Any, Any, Candidate]],
        trace: CandidateTrace,
    ) -> Candidate:
        """
        Dial until a candidate is chosen.

        :param contend: takes a connected candidate to the choice.
        :raises ConnectError: the last refusal, when another dial would be pointless.
        :raises ConnectionLost: likewise.
        :raises ProtocolError: when the other side is not the peer.
        """
        address = target.address
        begun = self._reactor.seconds()
        try:
            pacing = Pacing(self._random, self._granted(target))
            while True:
                dialled = self._reactor.seconds()
                trace.dialled()
                if not target.claimed:
                    self._context.syns.known.take(dialled)
                candidate = self._context.new_candidate(trace)
                try:
                    return await contend(await self._connect(address, candidate))
                except (ConnectError, ConnectionLost) as error:
                    trace.refused(error)
                    now = self._reactor.seconds()
                    took = now - dialled if isinstance(error, ConnectError) else 0.0
                    pause = self._pause(target, error, pacing, took, now - begun)
                    if pause is None:
                        raise
                    error.__traceback__ = None  # breaks a reference cycle
                if now - begun >= _HOPELESS_AFTER:
                    if address in self._hopeful:
                        trace(What.HOPELESS)
                    self._give_up(address)
                if self._stopped:  # giving up has ended the race
                    raise CancelledError
                self._ignore(address, pacing.fast)
                for wait in (pause, *(0.0,) * pacing.turns(took))[not pause :]:
                    await deferLater(self._reactor, wait)
                await self._free(address)
        except CancelledError:  # the listener is closed as well, with its filter
            raise
        except Exception:
            self._ignore(address, False)
            self._give_up(address)
            raise

    async def _free(self, address: Address) -> None:
        """Wait until there is no connection from that address any more."""
        standing = [each for each in self._context.candidates if each.connected]
        for candidate in standing:
            if candidate.peer_address == address:
                await _closed(candidate)

    def stop(self) -> None:
        """The race is over. Waiting dials are cancelled by their callers."""
        self._stopped = True
        self._gave_up = _to_nobody
        if self._veil is not None and self._veil.active():
            self._veil.cancel()

    async def _connect(self, address: Address, candidate: Candidate) -> Candidate:
        try:
            timeout = self._context.settings.handshake_timeout
            await self._port.connect(address, candidate, timeout)
        except BaseException:
            candidate.close()
            raise
        return candidate

    def _granted(self, target: Target) -> int:
        """
        How often it may be redialled. Claimed addresses are charged in advance, so that the dials
        of one address do not show how often another one had to be dialled.

        :raises ConnectError: when it must not be dialled at all.
        """
        if not target.claimed:
            return target.redials
        now, claims = self._reactor.seconds(), self._context.syns.claimed
        most = next((n for n in (target.redials, SELDOM) if claims.left(now) >= n), 0)
        if claims.left(now) < _FIRST_DIAL - claims.most:
            self._exhaust()
            raise ConnectError(string=TOO_MANY)
        claims.take(now, _FIRST_DIAL + most)
        return most

    def _pays(self) -> bool:
        """Charge a redial of an address at which the peer is known to be; False if none is left."""
        if not self._budget:
            return False
        if self._context.syns.known.left(self._reactor.seconds()) < 1:
            self._exhaust()
            return False
        self._budget -= 1
        return True

    def _exhaust(self) -> None:
        if not self._exhausted:
            self._exhausted = True
            log.warn(TOO_MANY)

    def _pause(
        self,
        target: Target,
        error: Exception,
        pacing: Pacing,
        took: float,
        elapsed: float,
    ) -> float | None:
        """Seconds until the next dial; None to give up."""
        number = getattr(error, "osError", None)
        if isinstance(error, NobodyListens):
            return None
        if number in _REFUSALS or isinstance(error, ConnectionLost):
            self.refused[target.address] = error
        elif number not in _TAKEN:
            return None
        if number in _NO_ROUTE and route_to(target.address.ip) is None:
            return None
        if not target.claimed and not self._pays():
            return None
        if not pacing.most:
            self._exhaust()
        return pacing.next_pause(took, elapsed)

    def _ignore(self, address: Address, ignored: bool) -> None:
        if ignored != (address in self._ignored):
            self._ignored ^= {address}
            self._port.ignore_syns(self._ignored)

    def _give_up(self, address: Address) -> None:
        if address in self._hopeful:
            self._hopeful.discard(address)
            self._tell()

    def _unveil(self) -> None:
        self._veil = None
        self._tell()

    def _tell(self) -> None:
        if self.hopeless:
            self._gave_up()
