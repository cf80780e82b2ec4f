"""
Those who tell of an attempt and of its ways. Without a trace there is none of them.

``Client(trace=...)`` is called with an ``Event`` for each thing that happens in an attempt: time,
number of the attempt, what, and fields. The ``Tracer`` tells of the attempt and of the request;
each *way* to the peer (the relay, an address that is dialled, a connection that has come in) has a
``Way``, which all candidates that one address is dialled with share. A way knows how far it got, so
that it can say why it was lost when somebody else wins: who ends the race does not know that. Each
way ends with ``CHOSEN`` or ``LOST``, and is silent then; the attempt ends all that are left before
it says ``CONNECTED`` or ``FAILED``. Without a trace there is neither a ``Tracer`` nor a ``Way``,
and each place where something happens costs a comparison with None.

``explain`` turns a list of events into a waterfall for a terminal, lines of JSON, or one file of
HTML or SVG, in three steps: ``facts`` sorts the events by what they are about, ``story`` makes rows
with bars and marks of that (``scale`` says where, ``words`` what to write beside them), and the
others draw those. It takes any list, since an attempt may be interrupted anywhere. What a server
says reaches no terminal and no page as it is.
"""

from __future__ import annotations

import errno
import math
from typing import Any

from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rdv._system.tcp_info import round_trip
from rdv.addresses import Address, space_of
from rdv.client.reasons import why
from rdv.client.trace import Event, Trace, What
from rdv.errors import ProtocolError
from rdv.wire import Answer, Role

__all__ = ["Tracer", "Way", "space_name"]

log = Logger()

#: A dial from a port that is in use for this address. With no route it says so by itself.
_TAKEN = frozenset((errno.EADDRNOTAVAIL, errno.EADDRINUSE))


class Tracer:
    """
    Tells of one attempt.

    :param traces: who is told.
    :ivar role: our role.
    :ivar chosen: the way that has won.
    :ivar telling: whether a trace is being called.
    """

    __slots__ = (
        "_address",
        "_attempt",
        "_called",
        "_clock",
        "_open",
        "_traces",
        "_ways",
        "chosen",
        "role",
        "telling",
    )

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
        self._address: Address | None = None  # of the server
        self._open: dict[Way, None] = {}
        self.role = role
        self.chosen: Way | None = None
        self.telling = False

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

    def called(self, address: Address) -> None:
        """See :attr:`What.CALLED`."""
        self._called, self._address = self.now, address
        self(What.CALLED, address=address)

    def reached(self) -> None:
        """See :attr:`What.REACHED`."""
        self(What.REACHED, address=self._address, seconds=self.now - self._called)

    def unreached(self, error: Exception) -> None:
        """See :attr:`What.UNREACHED`."""
        seconds = self.now - self._called
        self(What.UNREACHED, address=self._address, reason=why(error), seconds=seconds)

    def secured(self, transport: Any) -> None:
        """See :attr:`What.SECURED`."""
        tls = transport.getHandle()
        version, cipher = tls.get_protocol_version_name(), tls.get_cipher_name()
        self(What.SECURED, version=version, cipher=cipher)

    def met(self, answer: Answer) -> Way:
        """
        See :attr:`What.MET`.

        :return: the way by the relay.
        """
        peers = list(answer.peer_addresses)
        self(What.MET, observed=answer.observed, peer_addresses=peers)
        return self.way("relay", self._address)

    def way(self, kind: str, address: Address | None, *, guessed: bool = False) -> Way:
        """There is one more; the arguments are the fields of :attr:`What.WAY`."""
        self._ways += 1
        way = Way(self, self._ways, kind)
        self._open[way] = None
        space = None if address is None else space_name(address)
        self(What.WAY, way=way.number, kind=kind, address=address, space=space, guessed=guessed)
        return way

    def over(self, way: Way) -> None:
        """It was chosen or lost."""
        self._open.pop(way, None)

    def connected(self, is_relay: bool, peer: Address) -> None:
        """See :attr:`What.CONNECTED`."""
        number = None if self.chosen is None else self.chosen.number
        self.end(What.CONNECTED, path="relay" if is_relay else "p2p", peer=peer, way=number)

    def end(self, what: What, **fields: object) -> None:
        """The attempt is over, and with it all the ways that are left."""
        for way in list(self._open):
            way.lost()
        self(what, **fields)


class Way:
    """
    Tells of one way to the peer; see :class:`What` for what each method tells. When it was chosen
    or lost it is silent.

    :param kind: ``relay``, ``dial`` or ``inbound``.
    :ivar number: its number in the attempt.
    """

    __slots__ = (
        "_dials",
        "_expected",
        "_over",
        "_reason",
        "_since",
        "_stood",
        "_tracer",
        "kind",
        "number",
    )

    def __init__(self, tracer: Tracer, number: int, kind: str) -> None:
        self._tracer = tracer
        self._dials = 0
        self._since: float | None = None
        self._over = self._stood = False
        self._expected = "HELLO" if tracer.role is Role.DIALER else "CONFIRM"
        self._reason = "it came to nothing"  # why it is lost, if nothing else is said
        self.kind = kind
        self.number = number

    def __call__(self, what: What, **fields: object) -> None:
        """It has happened now, if the way is not over."""
        if not self._over:
            self._tracer(what, way=self.number, **fields)

    def dialled(self) -> None:
        """See :attr:`What.DIALLED`."""
        self._dials += 1
        self._since = self._tracer.now
        if self._dials == 1:  # later the last refusal says more
            self._reason = "no answer"
        self(What.DIALLED, dial=self._dials)

    def refused(self, error: Exception) -> None:
        """See :attr:`What.REFUSED`."""
        number = getattr(error, "osError", None) if isinstance(error, ConnectError) else None
        seconds = None if self._since is None else self._tracer.now - self._since
        self._reason = _words(error)
        self._stood = False
        self(
            What.REFUSED,
            dial=self._dials,
            reason=self._reason,
            errno=errno.errorcode.get(number) if isinstance(number, int) else None,
            seconds=seconds,
        )
        if number in _TAKEN:
            self._reason = "the connection from the other side took its place"

    def stands(self, transport: object) -> None:
        """See :attr:`What.STANDS`."""
        self._reason = f"no {self._expected} came"
        self._stood = True
        seconds = None if self._since is None else self._tracer.now - self._since
        self(What.STANDS, seconds=seconds, round_trip=round_trip(transport))

    def heard(self, line: str) -> None:
        """See :attr:`What.HEARD`."""
        self._reason = ""
        self(What.HEARD, line=line)

    def waits(self, seconds: float, reason: str) -> None:
        """See :attr:`What.WAITS`."""
        self(What.WAITS, seconds=seconds if seconds < math.inf else None, reason=reason)

    def won(self) -> None:
        """See :attr:`What.CHOSEN`."""
        self._tracer.chosen = self
        self(What.CHOSEN, dials=self._dials)
        self._end()

    def lost(self, error: BaseException | None = None) -> None:
        """
        See :attr:`What.LOST`.

        :param error: why, if it was not that the race is over.
        """
        if error is None:
            reason = self._race_is_over()
        elif isinstance(error, ProtocolError) and self._reason:
            reason = f"it said something else than {self._expected}"
        else:
            reason = _words(error)
        self(What.LOST, reason=reason, dials=self._dials)
        self._end()

    def _race_is_over(self) -> str:
        winner = self._tracer.chosen
        if winner is None or winner.kind == "relay":
            return self._reason or "it was ready, but not chosen in time"
        if not self._stood and self.kind != "relay":
            return self._reason
        other = "a direct path" if self.kind == "relay" else "another one"
        dialer = self._tracer.role is Role.DIALER
        return f"{other} was faster" if dialer else f"the peer chose {other}"

    def _end(self) -> None:
        self._over = True
        self._tracer.over(self)

    def switched(self, peer: Address) -> None:
        """See :attr:`What.SWITCHED`. It was lost before."""
        self._tracer(What.SWITCHED, way=self.number, peer=peer)

    def settled(self, reason: str) -> None:
        """See :attr:`What.SETTLED`. It was chosen before."""
        self._tracer(What.SETTLED, reason=reason)


def space_name(address: Address) -> str:
    """The name of an address' space, in lower case; ``none`` for an address of nobody."""
    return str(space_of(address.ip).name or "none").lower()


def _words(error: BaseException) -> str:
    """As :func:`why`, without what Twisted puts in front of the text of a loss."""
    if not isinstance(error, (ConnectionDone, ConnectionLost)):
        return why(error)
    if error.args:
        return str(error.args[0])
    closed = isinstance(error, ConnectionDone)
    return "the other side has closed it" if closed else "the connection was reset"
