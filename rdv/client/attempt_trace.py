"""
Tells a trace of an attempt and of its candidates.

``Client(trace=...)`` is called with an ``Event`` for each thing that happens in an attempt: time,
number of the attempt, what, and fields. The ``AttemptTrace`` tells of the attempt and of the
request. Each *way* to the peer (the relay, an address that is dialled, a connection that has come
in) has a ``CandidateTrace``, which all candidates that one address is dialled with share. It knows
how far they got, so that it can say why they were lost when another one wins: who ends the race
does not know that. Each ends with ``CHOSEN`` or ``LOST``, and is silent then; the attempt ends all
that are left before it says ``CONNECTED`` or ``FAILED``. Without a trace both are null objects:
nothing is looked up and nothing is kept, and each place where something happens costs a call that
does nothing.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Collection, Sequence
from typing import Any

from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rdv._system.tcp_info import round_trip
from rdv.addresses import Address, space_of
from rdv.client.reasons import describe, printable
from rdv.client.trace import Event, Trace, What
from rdv.errors import ProtocolError
from rdv.wire import Answer, Role

__all__ = ["NO_CANDIDATE_TRACE", "NO_TRACE", "AttemptTrace", "CandidateTrace"]

log = Logger()

#: A dial from a port that is in use for this address. With no route it says so by itself.
_TAKEN = frozenset((errno.EADDRNOTAVAIL, errno.EADDRINUSE))


class AttemptTrace:
    """
    Tells of one attempt; its methods bear the names of what they tell, see :class:`What`.

    :param traces: who is told.
    :ivar role: our role.
    :ivar chosen: the way that has won.
    :ivar telling: whether a trace is being called.
    """

    telling = False
    chosen: CandidateTrace | None = None

    def __init__(
        self,
        clock: IReactorTime,
        attempt: int,
        traces: tuple[Trace, ...],
        role: Role = Role.DIALER,
    ) -> None:
        self._clock = clock
        self._attempt = attempt
        self._traces = traces
        self._ways = 0
        self._called = 0.0
        self._server: Address | None = None
        self._open: dict[CandidateTrace, None] = {}
        self.role = role

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self._clock.seconds()

    def __call__(self, what: What, **fields: object) -> None:
        """It has happened now."""
        event = Event(self.now, self._attempt, what, fields)
        self.telling = True
        try:
            for trace in self._traces:
                try:
                    trace(event)
                except Exception:
                    log.failure("a trace failed at {what}", what=what.value)
        finally:
            self.telling = False

    def addresses(self, told: Sequence[Address], mapped: Collection[Address]) -> None:
        """
        :param mapped: those that a router has mapped, of which some may not be told.
        """
        spaces = [_space(address) for address in told]
        from_router = [address for address in told if address in mapped]
        self(What.ADDRESSES, addresses=told, spaces=spaces, mapped=from_router)

    def called(self, address: Address) -> None:
        self._called, self._server = self.now, address
        self(What.CALLED, address=address)

    def reached(self) -> None:
        self(What.REACHED, address=self._server, seconds=self.now - self._called)

    def unreached(self, error: Exception) -> None:
        seconds = self.now - self._called
        self(What.UNREACHED, address=self._server, reason=describe(error), seconds=seconds)

    def secured(self, transport: Any) -> None:
        tls = transport.getHandle()
        version, cipher = tls.get_protocol_version_name(), tls.get_cipher_name()
        self(What.SECURED, version=version, cipher=cipher)

    def answered(self, status: int, phrase: bytes, transport: object) -> None:
        trip, text = round_trip(transport), printable(phrase)
        self(What.ANSWERED, status=status, phrase=text, round_trip=trip)

    def met(self, answer: Answer) -> CandidateTrace:
        """:return: that of the relay."""
        peers = list(answer.peer_addresses)
        self(What.MET, observed=answer.observed, peer_addresses=peers)
        return self.way("relay", self._server)

    def rejected(self, address: Address) -> None:
        self(What.REJECTED, address=address, space=_space(address))

    def way(self, kind: str, address: Address | None, *, guessed: bool = False) -> CandidateTrace:
        """There is one more; the arguments are the fields of :attr:`What.WAY`."""
        self._ways += 1
        way = CandidateTrace(self, self._ways, kind)
        self._open[way] = None
        space = None if address is None else _space(address)
        self(What.WAY, way=way.number, kind=kind, address=address, space=space, guessed=guessed)
        return way

    def over(self, way: CandidateTrace) -> None:
        """It was chosen or lost."""
        self._open.pop(way, None)

    def connected(self, is_relay: bool, peer: Address) -> None:
        number = None if self.chosen is None else self.chosen.number
        self._end(What.CONNECTED, path="relay" if is_relay else "p2p", peer=peer, way=number)

    def failed(self, reason: str) -> None:
        self._end(What.FAILED, reason=reason)

    def _end(self, what: What, **fields: object) -> None:
        """The attempt is over, and with it all the ways that are left."""
        for way in list(self._open):
            way.lost()
        self(what, **fields)


class CandidateTrace:
    """
    Tells of one way to the peer; its methods bear the names of what they tell, see :class:`What`.
    When it was chosen or lost it is silent.

    :param kind: ``relay``, ``dial`` or ``inbound``.
    :ivar number: its number in the attempt.
    """

    def __init__(self, attempt: AttemptTrace, number: int, kind: str) -> None:
        self._attempt = attempt
        self._dials = 0
        self._since: float | None = None
        self._over = self._stood = False
        self._expected = "HELLO" if attempt.role is Role.DIALER else "CONFIRM"
        self._reason = "it came to nothing"  # why it is lost, if nothing else is said
        self.kind = kind
        self.number = number

    def __call__(self, what: What, **fields: object) -> None:
        """It has happened now, if the way is not over."""
        if not self._over:
            self._attempt(what, way=self.number, **fields)

    def _seconds(self) -> float | None:
        return None if self._since is None else self._attempt.now - self._since

    def dialled(self) -> None:
        self._dials += 1
        self._since = self._attempt.now
        if self._dials == 1:  # later the last refusal says more
            self._reason = "no answer"
        self(What.DIALLED, dial=self._dials)

    def refused(self, error: Exception) -> None:
        number = getattr(error, "osError", None) if isinstance(error, ConnectError) else None
        self._reason = _reason(error)
        self._stood = False
        self(
            What.REFUSED,
            dial=self._dials,
            reason=self._reason,
            errno=errno.errorcode.get(number) if isinstance(number, int) else None,
            seconds=self._seconds(),
        )
        if number in _TAKEN:
            self._reason = "the connection from the other side took its place"

    def stands(self, transport: object) -> None:
        self._reason = f"no {self._expected} came"
        self._stood = True
        self(What.STANDS, seconds=self._seconds(), round_trip=round_trip(transport))

    def heard(self, line: str) -> None:
        self._reason = ""
        self(What.HEARD, line=line)

    def waits(self, seconds: float, reason: str) -> None:
        if seconds > 0:
            self(What.WAITS, seconds=seconds if seconds < math.inf else None, reason=reason)

    def won(self) -> None:
        self._attempt.chosen = self
        self._end(What.CHOSEN)

    def lost(self, error: BaseException | None = None) -> None:
        """
        :param error: why, if it was not that the race is over.
        """
        if error is None:
            reason = self._race_is_over()
        elif isinstance(error, ProtocolError) and self._reason:
            reason = f"it said something else than {self._expected}"
        else:
            reason = _reason(error)
        self._end(What.LOST, reason=reason)

    def _race_is_over(self) -> str:
        winner = self._attempt.chosen
        if winner is None or winner.kind == "relay":
            return self._reason or "it was ready, but not chosen in time"
        if not self._stood and self.kind != "relay":
            return self._reason
        other = "a direct path" if self.kind == "relay" else "another one"
        dialer = self._attempt.role is Role.DIALER
        return f"{other} was faster" if dialer else f"the peer chose {other}"

    def _end(self, what: What, **fields: object) -> None:
        self(what, **fields, dials=self._dials)
        self._over = True
        self._attempt.over(self)

    def switched(self, peer: Address) -> None:
        """It was lost before."""
        self._attempt(What.SWITCHED, way=self.number, peer=peer)

    def settled(self, reason: str) -> None:
        """It was chosen before."""
        self._attempt(What.SETTLED, reason=reason)


def _nothing(*args: object, **fields: object) -> None:
    """Whatever has happened."""


class _NoCandidateTrace(CandidateTrace):
    """Nobody is told."""

    def __init__(self) -> None:
        """There is nothing to remember."""

    __call__ = dialled = refused = stands = heard = waits = won = lost = _nothing
    switched = settled = _nothing


class _NoTrace(AttemptTrace):
    """Nobody is told."""

    def __init__(self) -> None:
        """There is nothing to remember."""

    def way(self, *args: object, **fields: object) -> CandidateTrace:
        return NO_CANDIDATE_TRACE

    __call__ = addresses = called = reached = unreached = secured = answered = _nothing
    rejected = connected = failed = _nothing
    met = way


NO_CANDIDATE_TRACE: CandidateTrace = _NoCandidateTrace()
NO_TRACE: AttemptTrace = _NoTrace()


def _space(address: Address) -> str:
    """The name of an address' space, in lower case; ``none`` for an address of nobody."""
    return str(space_of(address.ip).name or "none").lower()


def _reason(error: BaseException) -> str:
    """As :func:`describe`, without what Twisted puts in front of the text of a loss."""
    if not isinstance(error, (ConnectionDone, ConnectionLost)):
        return describe(error)
    if error.args:
        return str(error.args[0])
    closed = isinstance(error, ConnectionDone)
    return "the other side has closed it" if closed else "the connection was reset"
