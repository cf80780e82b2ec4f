"""
Dialling the peer's addresses, again and again as long as it makes sense.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import deferLater

from rdv._system.interfaces import route_to
from rdv.addresses import Address
from rdv.client.attempt_trace import CandidateTrace
from rdv.client.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.redial import SYN_BUDGET, Redials
from rdv.client.dial.shared_port import NobodyListens, SharedPort
from rdv.client.dial.targets import Target
from rdv.client.trace import What

__all__ = ["Dialling"]

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


class Dialling:
    """
    All the dials of one attempt. They share a budget of SYNs.

    A dial that is refused is made again from the same port (:mod:`rdv.client.dial.redial`). One
    that is merely not answered is left to the system, which sends its SYN again in a second: a new
    one would collide with the answer to the old one.

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
        self._stopped = False
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
        redials = Redials(self._random, guessed=target.guessed)
        begun = self._reactor.seconds()
        try:
            while True:
                dialled = self._reactor.seconds()
                trace.dialled()
                candidate = self._context.new_candidate(trace)
                try:
                    return await contend(await self._connect(address, candidate))
                except (ConnectError, ConnectionLost) as error:
                    trace.refused(error)
                    now = self._reactor.seconds()
                    took = now - dialled if isinstance(error, ConnectError) else 0.0
                    pause = self._pause(address, error, redials, took, now - begun)
                    if pause is None:
                        raise
                if now - begun >= _HOPELESS_AFTER:
                    if address in self._hopeful:
                        trace(What.HOPELESS)
                    self._give_up(address)
                if self._stopped:  # that was what the relay, or the next in line, waited for
                    raise CancelledError
                self._ignore(address, redials.fast)
                for wait in (pause, *(0.0,) * redials.turns(took))[not pause :]:
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
        redials: Redials,
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
        self._budget -= 1
        return redials.next_pause(took, elapsed)

    def _ignore(self, address: Address, ignored: bool) -> None:
        if ignored != (address in self._ignored):
            self._ignored ^= {address}
            self._port.ignore_syns(self._ignored)

    def _give_up(self, address: Address) -> None:
        if address in self._hopeful:
            self._hopeful.discard(address)
            if not self._hopeful:
                self._gave_up()
