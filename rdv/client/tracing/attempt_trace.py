"""
Reports the events of an attempt to a trace.

``Client(trace=...)`` is called with an ``Event`` for each thing that happens in an attempt: time,
number of the attempt, what, and fields. The ``AttemptTrace`` reports events of the attempt and of
the request. Each *way* to the peer has a ``CandidateTrace``
(:mod:`rdv.client.tracing.candidate_trace`), which reports nothing after ``CHOSEN`` or ``LOST``. The
attempt ends all remaining ways before it reports ``CONNECTED`` or ``FAILED``. If the stream may
still move from the relay to a direct path, they continue after ``CONNECTED``, and end before
``MOVED`` or ``STAYED``. Without a trace, both are null objects: nothing is looked up or stored, and
each event costs one call that does nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rdv._system.tcp_info import round_trip
from rdv.addresses import Address, space_of
from rdv.client.reasons import describe, printable
from rdv.client.trace import Event, Trace, What
from rdv.client.tracing.candidate_trace import NO_CANDIDATE_TRACE, CandidateTrace, nothing
from rdv.wire import Answer, Role

__all__ = ["NO_TRACE", "AttemptTrace"]

log = Logger()


class AttemptTrace:
    """
    Reports the events of one attempt; its methods are named after the events, see :class:`What`.

    :param traces: the traces that get the events.
    :ivar role: our role.
    :ivar chosen: the way that has won.
    :ivar is_confirmed: whether CONFIRM has arrived on a direct way.
    :ivar telling: whether a trace is being called.
    """

    telling = is_confirmed = False
    chosen: CandidateTrace | None = None
    _moves = False

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
        """Report an event."""
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
        :param mapped: those that a router has mapped, some of which may not be among ``told``.
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
        """:return: the trace of the relay."""
        peers = list(answer.peer_addresses)
        self(What.MET, observed=answer.observed, peer_addresses=peers)
        return self.way("relay", self._server)

    def rejected(self, address: Address) -> None:
        self(What.REJECTED, address=address, space=_space(address))

    def way(self, kind: str, address: Address | None, *, guessed: bool = False) -> CandidateTrace:
        """Report a new way. The arguments are the fields of :attr:`What.WAY`."""
        self._ways += 1
        way = CandidateTrace(self, self._ways, kind)
        self._open[way] = None
        space = None if address is None else _space(address)
        self(What.WAY, way=way.number, kind=kind, address=address, space=space, guessed=guessed)
        return way

    def over(self, way: CandidateTrace) -> None:
        """A way was chosen or lost."""
        self._open.pop(way, None)

    def connected(self, is_relay: bool, peer: Address, *, moves: bool = False) -> None:
        """
        :param moves: the stream may still move: the other ways continue until :meth:`moved` or
            :meth:`stayed`, one of which must follow.
        """
        number = None if self.chosen is None else self.chosen.number
        if not moves:
            self._end_ways()
        self._moves = moves
        path = "relay" if is_relay else "p2p"
        self(What.CONNECTED, path=path, peer=peer, way=number, moves=moves)

    def moved(self, way: CandidateTrace, peer: Address) -> None:
        """Our data now uses this path. Of this and :meth:`stayed`, only the first is reported."""
        if self._moves:
            self._moves = False
            way.won()
            self._end_ways()
            self(What.MOVED, way=way.number, peer=peer)

    def stayed(self, reason: str) -> None:
        if self._moves:
            self._moves = False
            self._end_ways()
            self(What.STAYED, reason=reason)

    def failed(self, reason: str) -> None:
        self._end_ways()
        self(What.FAILED, reason=reason)

    def _end_ways(self) -> None:
        for way in list(self._open):
            way.lost()


class _NoTrace(AttemptTrace):
    """Reports nothing."""

    def __init__(self) -> None:
        """There is nothing to remember."""

    def way(self, *args: object, **fields: object) -> CandidateTrace:
        return NO_CANDIDATE_TRACE

    __call__ = addresses = called = reached = unreached = secured = answered = nothing
    rejected = connected = moved = stayed = failed = nothing
    met = way


NO_TRACE: AttemptTrace = _NoTrace()


def _space(address: Address) -> str:
    """The name of an address' space, in lower case; ``none`` for an unusable address."""
    return str(space_of(address.ip).name or "none").lower()
