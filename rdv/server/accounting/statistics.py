"""
The counters of a rendezvous, in plain numbers: counting is on the path of every client, and takes a
microsecond or two. The names of the metrics are in :mod:`rdv.server.accounting.metrics`.

Everything is bounded: no text from a client or a hook becomes a key.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import NamedTuple

from rdv._deadlines import Deadlines
from rdv.addresses import AddressSpace, parse_address, space_of
from rdv.server.accounting.record import PairRecord
from rdv.server.leg import Leg
from rdv.server.meeting.lobby import Lobby
from rdv.server.refusals import WORDS
from rdv.server.relay.outcome import EndReason, Outcome
from rdv.server.relay.pair import Pair
from rdv.wire import Role

__all__ = ["Histogram", "Present", "Statistics", "kind_of"]

#: Upper bounds, in seconds and bytes.
_WAITS = (0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
_DURATIONS = (0.1, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
_SIZES = tuple(float(1 << power) for power in range(10, 37, 2))
_HOOK_TIMES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

#: Reasons for refusals that have no word of their own: the name of the status.
_OTHERS = {status.value: status.name.lower() for status in HTTPStatus if status >= 400}

#: First octets of IPv4 that determine the address space; addresses with an empty entry are looked
#: up.
_KINDS4 = {str(first): "public4" for first in range(1, 224)} | {
    "10": "private4",
    "127": "loopback",
    **dict.fromkeys(("169", "172", "192"), ""),
}
_NAMES = {space: str(space.name).lower() for space in AddressSpace}


class Present(NamedTuple):
    """
    The current clients and pairs.

    :ivar pairs: pairs whose clients were answered and have not both gone yet.
    :ivar meeting: those of them that have not chosen a path.
    """

    lobby: Lobby[Leg]
    pairs: Collection[Pair]
    meeting: Deadlines[Pair]


class Histogram:
    """
    Counts values by ranges.

    :ivar bounds: upper bounds, ascending.
    :ivar counts: for each bound, the number of values above the previous bound; the last one is for
        values above all bounds.
    :ivar sum: of all values.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Statistics:
    """
    The counters of one rendezvous since its start.

    :ivar dialers: dialers that entered.
    :ivar acceptors: likewise.
    :ivar kinds: both by the kind of their observed address; see :func:`kind_of`.
    :ivar refusals: by status and reason, which is one word.
    :ivar matches: pairs whose clients were answered.
    :ivar outcomes: pairs that have ended, by outcome.
    :ivar ends: the same by reason.
    :ivar dialer_bytes: relayed bytes of dialers whose pairs have ended.
    :ivar acceptor_bytes: likewise.
    :ivar waits: how many seconds the first client of a pair waited for the second one.
    :ivar durations: how many seconds relayed pairs lasted.
    :ivar sizes: how many bytes went through relayed pairs, both ways together.
    :ivar hook_times: how many seconds the ``serve`` hook took.
    """

    def __init__(self) -> None:
        self.dialers = 0
        self.acceptors = 0
        self.kinds: Counter[str] = Counter()
        self.refusals: Counter[tuple[int, str]] = Counter()
        self.matches = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.ends: Counter[EndReason] = Counter()
        self.dialer_bytes = 0
        self.acceptor_bytes = 0
        self.waits = Histogram(_WAITS)
        self.durations = Histogram(_DURATIONS)
        self.sizes = Histogram(_SIZES)
        self.hook_times = Histogram(_HOOK_TIMES)

    def came(self, leg: Leg) -> None:
        """A client has entered."""
        if leg.role is Role.DIALER:
            self.dialers += 1
        else:
            self.acceptors += 1
        self.kinds[kind_of(leg.observed)] += 1

    def refused(self, status: int, text: str) -> None:
        """A client was refused, before or after it entered."""
        reason = WORDS.get((status, text)) or _OTHERS.get(status, "other")
        self.refusals[status, reason] += 1

    def matched(self, pair: Pair) -> None:
        """Two clients are being answered."""
        self.matches += 1
        self.waits.add(pair.waited)

    def ended(self, record: PairRecord) -> None:
        """A pair has ended."""
        self.outcomes[record.outcome] += 1
        self.ends[record.reason] += 1
        self.dialer_bytes += record.dialer_bytes
        self.acceptor_bytes += record.acceptor_bytes
        if record.outcome is Outcome.RELAYED:
            self.durations.add(record.lasted)
            self.sizes.add(record.dialer_bytes + record.acceptor_bytes)


def kind_of(observed: str) -> str:
    """
    The address space of an observed address, as one word: ``public4`` and so on, or ``unknown``.

    :param observed: formatted, or empty.
    """
    if not observed:
        return "unknown"
    if observed[0] != "[":
        kind = _KINDS4.get(observed.partition(".")[0])
        if not kind and observed.startswith("192.168."):
            return "private4"
        if kind:
            return kind
    elif observed[1] in "23" and observed[5] == ":":  # 2000::/3, the only public range today
        return "public6"
    return _NAMES.get(space_of(parse_address(observed).ip), "unknown")
