"""
Decides whether clients may come in, by what the same address already has.
"""

from __future__ import annotations

from functools import lru_cache

from twisted.internet.interfaces import IReactorTime

from rdv.addresses import network_of
from rdv.errors import BadRequest
from rdv.server.limits.hiding import Hiding, is_public
from rdv.server.limits.hits import HitCounts
from rdv.server.limits.lease import NOBODY, Lease
from rdv.server.limits.memory import RATES, Memory
from rdv.server.limits.numbers import Limit, Limits
from rdv.server.limits.sketch import Counts, KeyedHash, Place, Rate
from rdv.server.limits.tried import Tried

__all__ = ["Admission", "TooMany", "refusal_of"]

#: How many seconds' worth of requests, and of failures, may come at once.
_REQUESTS_WINDOW, _FAILURES_WINDOW = 10.0, 180.0
#: How many refused connections of an address are answered per second, on average over some seconds.
#: The others are closed without an answer, so that a flood costs little.
_ANSWERS, _ANSWERS_WINDOW = 5.0, 10.0

#: This bit is set in the keys of addresses that are not public.
_INSIDE = 1 << 63
#: Number of addresses whose place is cached.
_REMEMBERED = 1024

_TEXTS = {
    Limit.CONNECTIONS: "too many connections from your address, try again later",
    Limit.WAITING: "too many clients are waiting from your address, try again later",
    Limit.PAIRS: "too many pairs from your address, try again later",
    Limit.REQUESTS: "too many requests from your address, try again later",
    Limit.FAILURES: "too many failed meetings from your address, try again later",
}


def refusal_of(limit: Limit) -> tuple[int, str]:
    """The status and the text for a client that exceeds a limit."""
    return 429, _TEXTS[limit]


class TooMany(BadRequest):
    """
    A limit has been reached.

    :ivar answered: whether the client gets an answer; if there are too many, answering costs too
        much.
    """

    def __init__(self, limit: Limit, *, answered: bool) -> None:
        super().__init__(_TEXTS[limit], 429)
        self.answered = answered


class Admission:
    """
    Applies limits for each address.

    :param memory: where the counts are kept; shared with other processes if they count as well.
    :ivar counts: the counts by address.
    :ivar most: the maximum of each count; 0 for no limit.
    :ivar hits: statistics of the limits.
    :ivar hiding: which addresses are proxies, to which no limit applies.
    """

    def __init__(self, clock: IReactorTime, limits: Limits, memory: Memory | None = None) -> None:
        memory = memory or Memory()
        self._clock = clock
        self._hash = KeyedHash(memory.secret)
        self._place_of = lru_cache(_REMEMBERED)(self._find_place)
        self._times = [memory.times(which) for which in range(RATES)]
        self._answers = Rate(self._times[0], _ANSWERS, _ANSWERS_WINDOW)
        self.counts = Counts(memory.counts(), memory.own)
        self.hits = HitCounts()
        self._tried = Tried()
        self.hiding = Hiding(memory.hiding(), memory.own)
        self.use(limits)

    def use(self, limits: Limits) -> None:
        """
        Apply other limits. The counts stay; clients that came while there were no limits are not
        counted.
        """
        self._is_on = bool(limits)
        self.most = (limits.connections, limits.waiting, limits.pairs)
        self._requests: Rate | None = None
        if limits.requests:
            self._requests = Rate(self._times[1], limits.requests, _REQUESTS_WINDOW)
        self._failures: Rate | None = None
        if limits.failures:
            self._failures = Rate(self._times[2], limits.failures / 60, _FAILURES_WINDOW)

    def admit(self, host: str) -> Lease:
        """
        Admit a connection, together with its first request.

        :param host: its address; empty when unknown, here and below.
        :return: what counts the connection; to be ended with it.
        :raises TooMany: when a limit has been reached.
        """
        if not (self._is_on and host):
            return NOBODY
        place = self._place_of(host)
        most = self.most[0]
        if most and self.counts.has(place, 0, most):
            self._refuse(Limit.CONNECTIONS, place)
        self._ask(place)
        return Lease(self, place, True)

    def ask(self, host: str) -> None:
        """
        Count another request on an admitted connection.

        :raises TooMany: when a limit has been reached.
        """
        if self._is_on and host:
            self._ask(self._place_of(host))

    def try_ask(self, host: str) -> bool:
        """
        Like :meth:`ask`, but returns False if a limit has been reached; nothing is counted then.
        """
        if not (self._is_on and host):
            return True
        return self._hit(self._place_of(host)) is None

    def lease(self, host: str, *, counted: bool = True) -> Lease:
        """
        Count a connection that was admitted elsewhere.

        :param counted: False when connections are not counted, but only whether they wait or are in
            pairs.
        """
        if not (self._is_on and host):
            return NOBODY
        return Lease(self, self._place_of(host), counted)

    def named(self, lease: Lease, host: str, addresses: str) -> None:
        """
        A client reports its own addresses.

        :param addresses: as formatted in an offer.
        """
        key = lease.place.key
        if key & _INSIDE and addresses:
            self.hiding.came(key, host, addresses, self._clock.seconds())

    @property
    def proxies(self) -> list[str]:
        """Addresses that are treated as proxies, to which no limit applies."""
        return self.hiding.addresses if self._is_on else []

    def _find_place(self, host: str) -> Place:
        network = network_of(host)
        key = self._hash(network)
        return Place(key & ~_INSIDE if is_public(network) else key | _INSIDE, network)

    # Called by leases.

    def applies(self, limit: Limit, place: Place) -> bool:
        """Whether a client that exceeds a limit is refused. If so, this is counted."""
        if self.hiding.hides(place.key):
            return False
        self.hits.add(limit, place.text)
        return True

    def failed(self, place: Place, token: bytes) -> None:
        """A client has not met a peer, or only one at the same address."""
        if self._failures:
            now = self._clock.seconds()
            if self._tried.is_new(place.key, token, now):
                self._failures.spend(place, now)

    def _ask(self, place: Place) -> None:
        if (limit := self._hit(place)) is not None:
            self._refuse(limit, place)

    def _hit(self, place: Place) -> Limit | None:
        """Count a request, unless a limit has been reached: then return that limit."""
        now = self._clock.seconds()
        failures, requests = self._failures, self._requests
        # The first row nearly always allows it; checking that here saves a call.
        if (
            failures is not None
            and failures.times[place.one] > now + failures.ahead
            and not failures.allows(place, now)
        ):
            return Limit.FAILURES
        if requests is not None and not requests.take(place, now):
            return Limit.REQUESTS
        return None

    def _refuse(self, limit: Limit, place: Place) -> None:
        if not self.hiding.hides(place.key):
            self.hits.add(limit, place.text)
            raise TooMany(limit, answered=self._answers.take(place, self._clock.seconds()))
