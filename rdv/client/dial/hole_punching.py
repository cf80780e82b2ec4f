"""
TCP hole punching: dialling the peer's addresses, again and again as long as it makes sense.

A SYN that meets a NAT or firewall without a mapping may be refused (RST, ICMP), and the dial fails
although the peer is there: its own SYN has not left yet. Two SYNs that cross pass both boxes, so
the answer to a refusal is to dial again at once from the same port. The chance that they cross is
about ``2D / (2D + reaction)``, with D the delay between the two sites: good from a millisecond on,
small in one room. There it takes many dials, and both sides have to make theirs in the same moment:
they come in bursts that begin with the attempt, as the server lets both begin at the same time.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rdv._system.interfaces import route_to
from rdv.addresses import Address
from rdv.client.candidate import Candidate
from rdv.client.candidate_trace import CandidateTrace
from rdv.client.context import Context
from rdv.client.dial.shared_port import NobodyListens, SharedPort
from rdv.client.dial.targets import Target
from rdv.client.trace import What

__all__ = ["SYN_BUDGET", "HolePuncher", "Pacing"]

log = Logger()

TOO_MANY = "too many dials were refused lately: none is repeated for the moment"

#: Answers that mean "not yet" as long as the peer's own SYN may be on its way: a reset, and what
#: systems make of ICMP errors. EACCES is ICMPv6 for a filter.
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
#: The connection from the other direction stands, or its remains are not gone yet.
_TAKEN = frozenset((errno.EADDRNOTAVAIL, errno.EADDRINUSE))
#: How systems tell that there is no way to an address; each has another meaning too.
_NO_ROUTE = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL))
#: Seconds of nothing but refusals after which nobody waits for an address any more.
_HOPELESS_AFTER = 1.0

#: How many times an attempt redials altogether. The first dial of each address is not counted: with
#: ten addresses and four guesses it makes at most this and 14 dials.
SYN_BUDGET = 700

#: Redials of one address altogether, and of a port that was only guessed.
_MOST, _MOST_GUESSED = 330, 10
#: How many bursts, of how many redials at once, begin every so many seconds.
_BURSTS, _BURST, _EVERY = 3, 100, 0.25
#: Two sides that are refused at one pace may miss each other for ever. Where a refusal takes less
#: than so many seconds, which is below what timers can do, up to so many turns of the reactor pass
#: before the next dial; elsewhere every so often a pause of up to a quarter of the round trip.
_BELOW_TIMERS, _TURNS, _IN_STEP = 0.002, 4, 8
#: Behind a burst the pause grows by this factor, from and to so many seconds.
_GROWTH, _FIRST_PAUSE, _LONGEST_PAUSE = 1.25, 0.005, 0.5


class HolePuncher:
    """
    All the dials of one attempt. They share a budget of SYNs, and all attempts of a client another.

    :param targets: all that will be dialled.
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
        self._hopeful = {target.address for target in targets if not target.guessed}
        self.refused: dict[Address, Exception] = {}
        port.ignore_syns(self._ignored)

    @property
    def hopeless(self) -> bool:
        """
        Whether every address has refused for a while, has no route, or was given up. Those that
        were guessed do not count.
        """
        return not self._hopeful

    async def dial(
        self,
        target: Target,
        contend: Callable[[Candidate], Coroutine[Any, Any, Candidate]],
        trace: CandidateTrace,
    ) -> Candidate:
        """
        Dial until the candidate was chosen.

        :param contend: takes a connected one to the choice.
        :raises ConnectError: the last refusal, when there is no point in going on.
        :raises ConnectionLost: likewise.
        :raises ProtocolError: when it is no peer of ours.
        """
        address = target.address
        pacing = Pacing(self._random, guessed=target.guessed)
        begun = self._reactor.seconds()
        try:
            while True:
                dialled = self._reactor.seconds()
                trace.dialled()
                self._context.syns.take(dialled)
                candidate = self._context.new_candidate(trace)
                try:
                    return await contend(await self._connect(address, candidate))
                except (ConnectError, ConnectionLost) as error:
                    trace.refused(error)
                    now = self._reactor.seconds()
                    took = now - dialled if isinstance(error, ConnectError) else 0.0
                    pause = self._pause(address, error, pacing, took, now - begun)
                    if pause is None:
                        raise
                if now - begun >= _HOPELESS_AFTER:
                    if address in self._hopeful:
                        trace(What.HOPELESS)
                    self._give_up(address)
                if self._stopped:  # that was what the relay, or the next in line, waited for
                    raise CancelledError
                self._ignore(address, pacing.fast)
                for wait in (pause, *(0.0,) * pacing.turns(took))[not pause :]:
                    await deferLater(self._reactor, wait)
        except CancelledError:  # the listener goes as well
            raise
        except Exception:
            self._ignore(address, False)
            self._give_up(address)
            raise

    def stop(self) -> None:
        """The race is over. Dials that wait are cancelled by whoever runs them."""
        self._stopped = True

    async def _connect(self, address: Address, candidate: Candidate) -> Candidate:
        try:
            timeout = self._context.settings.handshake_timeout
            await self._port.connect(address, candidate, timeout)
        except BaseException:
            candidate.close()
            raise
        return candidate

    def _pause(
        self,
        address: Address,
        error: Exception,
        pacing: Pacing,
        took: float,
        elapsed: float,
    ) -> float | None:
        """Seconds until the next dial; None when there is to be none."""
        number = getattr(error, "osError", None)
        if isinstance(error, NobodyListens):
            return None
        if number in _REFUSALS or isinstance(error, ConnectionLost):
            self.refused[address] = error
        elif number not in _TAKEN:
            return None
        if number in _NO_ROUTE and route_to(address.ip) is None:
            return None
        if not self._budget:
            return None
        if self._context.syns.left(self._reactor.seconds()) < 1:
            if not self._exhausted:
                self._exhausted = True
                log.warn(TOO_MANY)
            return None
        self._budget -= 1
        return pacing.next_pause(took, elapsed)

    def _ignore(self, address: Address, ignored: bool) -> None:
        if ignored != (address in self._ignored):
            self._ignored ^= {address}
            self._port.ignore_syns(self._ignored)

    def _give_up(self, address: Address) -> None:
        if address in self._hopeful:
            self._hopeful.discard(address)
            if not self._hopeful:
                self._gave_up()


class Pacing:
    """
    The pauses between the dials of one address.

    :param random: for the jitter.
    :param guessed: whether the port is only predicted.
    :ivar fast: whether the next redial is part of a burst.
    """

    def __init__(self, random: Random, *, guessed: bool = False) -> None:
        self._random = random
        self._left = _MOST_GUESSED if guessed else _MOST
        self._burst = 0
        self._left_in_burst = _BURST
        self._pause = _FIRST_PAUSE
        self.fast = True

    def next_pause(self, took: float, elapsed: float) -> float | None:
        """
        :param took: seconds from the last dial to its refusal.
        :param elapsed: seconds since the first dial.
        :return: seconds to wait now; None when it is not to be dialled any more.
        """
        if not self._left:
            return None
        self._left -= 1
        burst = min(int(elapsed / _EVERY), _BURSTS - 1)
        if burst > self._burst:
            self._burst = burst
            self._left_in_burst = _BURST
        self.fast = self._left_in_burst > 0
        if self.fast:
            self._left_in_burst -= 1
            if took < _BELOW_TIMERS or self._left_in_burst % _IN_STEP:
                return 0.0
            return self._random.uniform(0.0, 0.25 * took)
        pause = self._random.uniform(0.5, 1.5) * self._pause
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
        if burst + 1 < _BURSTS:
            pause = min(pause, (burst + 1) * _EVERY - elapsed)
        return pause

    def turns(self, took: float) -> int:
        """
        :param took: seconds from the last dial to its refusal.
        :return: how many turns of the reactor to let pass now.
        """
        return self._random.randrange(_TURNS + 1) if took < _BELOW_TIMERS else 0
