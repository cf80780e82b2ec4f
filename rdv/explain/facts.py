"""
What the events of one attempt say, sorted by what it is about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rdv.client.trace import Event, What

__all__ = ["Call", "Dial", "Facts", "Line", "Wait", "WayFacts", "last_attempt"]


def last_attempt(events: Iterable[Event]) -> list[Event]:
    """
    The events of the attempt with the highest number, in the order in which they came. If the clock
    was set back meanwhile, it is taken to have stood still then.
    """
    known = list(events)
    last = max((event.attempt for event in known), default=0)
    told: list[Event] = []
    late, now = 0.0, -math.inf
    for event in known:
        if event.attempt == last:
            late += max(0.0, now - event.time)
            now = event.time
            told.append(replace(event, time=now + late) if late else event)
    return told


@dataclass(slots=True)
class Call:
    """One connection to the server, or what should have become one."""

    address: str
    begun: float
    ended: float | None = None
    reason: str | None = None  # why it does not stand


@dataclass(slots=True)
class Dial:
    """One dial, and how it ended, if it did."""

    begun: float
    stood: float | None = None
    ended: float | None = None
    reason: str | None = None  # why it came to nothing


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the handshake, said by us or heard."""

    time: float
    line: str
    heard: bool


@dataclass(slots=True)
class Wait:
    """How long a way that was ready left a better one to come, and how long that was at most."""

    begun: float
    seconds: float | None
    reason: str


@dataclass(slots=True)
class WayFacts:
    """What became of one way to the peer. Times are those of events."""

    number: int
    kind: str
    address: str
    space: str
    guessed: bool
    begun: float
    dials: list[Dial] = field(default_factory=list)
    stands: float | None = None
    lines: list[Line] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    hurried: float | None = None
    suspect: bool = False
    acknowledged: float | None = None
    hopeless: float | None = None
    ended: float | None = None
    chosen: bool = False
    lost: str | None = None

    @property
    def refusals(self) -> list[Dial]:
        """The dials that came to nothing."""
        return [dial for dial in self.dials if dial.reason is not None]

    def heard(self, line: str = "") -> float | None:
        """When the peer's line came; any line, if it is not named."""
        return next(
            (each.time for each in self.lines if each.heard and line in ("", each.line)), None
        )


@dataclass(slots=True)
class Facts:
    """What became of one attempt. Times are those of events."""

    events: Sequence[Event]
    begun: float = 0.0
    ended: float = 0.0
    role: str = ""
    server: str = ""
    addresses: list[str] = field(default_factory=list)
    resolved: float | None = None
    calls: list[Call] = field(default_factory=list)
    secured: str = ""
    asked: float | None = None
    answered: float | None = None
    status: int | None = None
    phrase: str = ""
    round_trip: float | None = None
    met: float | None = None
    observed: str | None = None
    peers: list[str] = field(default_factory=list)
    ways: dict[int, WayFacts] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    path: str | None = None  # of the connection
    peer: str = ""
    failed: str | None = None
    switched: bool = False

    @classmethod
    def of(cls, events: Sequence[Event]) -> Facts:
        """Of the events of one attempt, as :func:`last_attempt` has them."""
        facts = cls(events)
        if events:
            facts.begun, facts.ended = events[0].time, events[-1].time
        for event in events:
            if event.what in _WAYS:
                _of_way(facts, event.what, event.time, event.fields)
            else:
                _of_attempt(facts, event.what, event.time, event.fields)
        return facts

    @property
    def winner(self) -> WayFacts | None:
        """The way that was chosen."""
        return next((way for way in self.ways.values() if way.chosen), None)

    @property
    def relay(self) -> WayFacts | None:
        """The way by the server."""
        return next((way for way in self.ways.values() if way.kind == "relay"), None)


_WAYS = frozenset(
    (
        What.WAY,
        What.DIALLED,
        What.REFUSED,
        What.STANDS,
        What.SAID,
        What.HEARD,
        What.WAITS,
        What.HURRIED,
        What.SUSPECT,
        What.ACKNOWLEDGED,
        What.HOPELESS,
        What.CHOSEN,
        What.LOST,
    )
)


def _of_attempt(facts: Facts, what: What, time: float, fields: Any) -> None:
    match what:
        case What.BEGUN:
            facts.role, facts.server = str(fields.get("role", "")), str(fields.get("server", ""))
        case What.ADDRESSES:
            facts.addresses = [str(each) for each in fields.get("addresses") or []]
        case What.RESOLVED:
            facts.resolved = time
        case What.CALLED:
            facts.calls.append(Call(str(fields.get("address", "")), time))
        case What.REACHED | What.UNREACHED:
            if facts.calls:
                facts.calls[-1].ended = time
            if facts.calls and what is What.UNREACHED:
                facts.calls[-1].reason = str(fields.get("reason", ""))
        case What.SECURED:
            facts.secured = str(fields.get("version", "TLS"))
        case What.ASKED:
            facts.asked = time
        case What.ANSWERED:
            facts.answered, facts.phrase = time, str(fields.get("phrase", ""))
            facts.status, facts.round_trip = fields.get("status"), fields.get("round_trip")
        case What.MET:
            facts.met = time
            observed = fields.get("observed")
            facts.observed = None if observed is None else str(observed)
            facts.peers = [str(each) for each in fields.get("peer_addresses") or []]
        case What.REJECTED:
            facts.rejected.append(str(fields.get("address", "")))
        case What.CONNECTED:
            facts.path, facts.peer = str(fields.get("path", "")), str(fields.get("peer", ""))
            facts.ended = time
        case What.FAILED:
            facts.failed = str(fields.get("reason", ""))
            facts.ended = time
        case What.SWITCHED:
            facts.switched = True
        case _:
            pass


def _of_way(facts: Facts, what: What, time: float, fields: Any) -> None:
    number = fields.get("way", 0)
    if what is What.WAY or number not in facts.ways:
        facts.ways[number] = WayFacts(
            number,
            str(fields.get("kind", "dial")),
            str(fields.get("address") or ""),
            str(fields.get("space") or ""),
            bool(fields.get("guessed", False)),
            time,
        )
    way = facts.ways[number]
    match what:
        case What.DIALLED:
            way.dials.append(Dial(time))
        case What.REFUSED:
            if way.dials:
                way.dials[-1].ended = time
                way.dials[-1].reason = str(fields.get("reason", ""))
            way.stands = None
        case What.STANDS:
            if way.dials:
                way.dials[-1].stood = time
            way.stands = time
        case What.SAID | What.HEARD:
            way.lines.append(Line(time, str(fields.get("line", "")), what is What.HEARD))
        case What.WAITS:
            way.waits.append(Wait(time, fields.get("seconds"), str(fields.get("reason", ""))))
        case What.HURRIED:
            way.hurried = time
        case What.SUSPECT:
            way.suspect = True
        case What.ACKNOWLEDGED:
            way.acknowledged = time
        case What.HOPELESS:
            way.hopeless = time
        case What.CHOSEN:
            way.chosen, way.ended = True, time
        case What.LOST:
            way.lost, way.ended = str(fields.get("reason", "")), time
        case _:
            pass
