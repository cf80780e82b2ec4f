"""
What the events of one attempt say, sorted by what it is about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from rdv.client.trace import Event, What

__all__ = ["Call", "Dial", "Facts", "Line", "WayFacts", "last_attempt"]


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
    waits: float | None = None  # since when it has left a better one to come
    hurried: bool = False
    suspect: bool = False
    acknowledged: bool = False
    ended: float | None = None
    chosen: bool = False
    lost: str | None = None

    @property
    def refusals(self) -> list[Dial]:
        """The dials that came to nothing."""
        return [dial for dial in self.dials if dial.reason is not None]

    @property
    def heard(self) -> Line | None:
        """The first line of the peer's."""
        return next((line for line in self.lines if line.heard), None)


@dataclass(slots=True)
class Facts:
    """What became of one attempt. Times are those of events."""

    begun: float = 0.0
    ended: float = 0.0
    role: str = ""
    server: str = ""
    calls: list[Call] = field(default_factory=list)
    secured: str = ""
    asked: float | None = None
    answered: float | None = None
    status: int | None = None
    phrase: str = ""
    round_trip: float | None = None
    met: float | None = None
    ways: dict[int, WayFacts] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    path: str | None = None  # of the connection
    peer: str = ""
    failed: str | None = None
    switched: bool = False

    @classmethod
    def of(cls, events: Sequence[Event]) -> Facts:
        """Of the events of one attempt, as :func:`last_attempt` has them."""
        facts = cls()
        if events:
            facts.begun, facts.ended = events[0].time, events[-1].time
        for event in events:
            _take(facts, event)
        return facts

    @property
    def winner(self) -> WayFacts | None:
        """The way that was chosen."""
        return next((way for way in self.ways.values() if way.chosen), None)

    @property
    def relay(self) -> WayFacts | None:
        """The way by the server."""
        return next((way for way in self.ways.values() if way.kind == "relay"), None)


def _text(event: Event, name: str) -> str:
    value = event.fields.get(name)
    return "" if value is None else str(value)


def _take(facts: Facts, event: Event) -> None:
    time, fields = event.time, cast("Mapping[str, Any]", event.fields)
    match event.what:
        case What.BEGUN:
            facts.role, facts.server = _text(event, "role"), _text(event, "server")
        case What.CALLED:
            facts.calls.append(Call(_text(event, "address"), time))
        case What.REACHED | What.UNREACHED if facts.calls:
            facts.calls[-1].ended = time
            if event.what is What.UNREACHED:
                facts.calls[-1].reason = _text(event, "reason")
        case What.SECURED:
            facts.secured = _text(event, "version") or "TLS"
        case What.ASKED:
            facts.asked = time
        case What.ANSWERED:
            facts.answered, facts.phrase = time, _text(event, "phrase")
            facts.status, facts.round_trip = fields.get("status"), fields.get("round_trip")
        case What.MET:
            facts.met = time
        case What.REJECTED:
            facts.rejected.append(_text(event, "address"))
        case What.CONNECTED:
            facts.path, facts.peer = _text(event, "path"), _text(event, "peer")
            facts.ended = time
        case What.FAILED:
            facts.failed, facts.ended = _text(event, "reason"), time
        case What.SWITCHED:
            facts.switched = True
        case What.ADDRESSES | What.RESOLVED | What.PROBED | What.HOPELESS | What.SETTLED:
            pass  # not told
        case _:
            _take_of_way(facts, event)


def _take_of_way(facts: Facts, event: Event) -> None:
    time, fields = event.time, cast("Mapping[str, Any]", event.fields)
    number = fields.get("way", 0)
    if event.what is What.WAY or number not in facts.ways:
        kind, guessed = _text(event, "kind") or "dial", bool(fields.get("guessed"))
        address, space = _text(event, "address"), _text(event, "space")
        facts.ways[number] = WayFacts(number, kind, address, space, guessed, time)
    way = facts.ways[number]
    match event.what:
        case What.DIALLED:
            way.dials.append(Dial(time))
        case What.REFUSED:
            if way.dials:
                way.dials[-1].ended = time
                way.dials[-1].reason = _text(event, "reason")
            way.stands = None
        case What.STANDS:
            if way.dials:
                way.dials[-1].stood = time
            way.stands = time
        case What.SAID | What.HEARD:
            heard = event.what is What.HEARD
            way.lines.append(Line(time, _text(event, "line"), heard))
        case What.WAITS if way.waits is None:
            way.waits = time
        case What.HURRIED:
            way.hurried = True
        case What.SUSPECT:
            way.suspect = True
        case What.ACKNOWLEDGED:
            way.acknowledged = True
        case What.CHOSEN:
            way.chosen, way.ended = True, time
        case What.LOST:
            way.lost, way.ended = _text(event, "reason"), time
