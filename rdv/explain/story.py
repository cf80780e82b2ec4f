"""
What there is to draw: rows with bars and marks on an axis of time, and what to write beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from rdv._text import visible
from rdv.client.trace import Event
from rdv.explain.facts import Facts, WayFacts, last_attempt
from rdv.explain.scale import Scale
from rdv.explain.words import duration, heading, outcome, server_outcome, summary

__all__ = ["Bar", "Mark", "Row", "Span", "State", "Story", "story"]


#: So many of those who connect and are not the peer get a row each.
_MOST_STRANGERS = 30


class Span(Enum):
    """What a stretch of time was spent on."""

    CONNECT = "connecting"
    LOBBY = "waiting for the peer"
    HANDSHAKE = "handshake"
    PATIENCE = "ready, waiting for a better one"


class Mark(Enum):
    """What happened at a moment. Of several at one place the last one here is drawn."""

    DIAL = "dial"
    REFUSED = "refused"
    STANDS = "connected"
    HELLO = "HELLO"
    CONFIRM = "CONFIRM"
    LOST = "lost"
    CHOSEN = "chosen"


class State(Enum):
    """What became of a row."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Bar:
    """Places on the axis, from 0 to 1."""

    start: float
    end: float
    span: Span


@dataclass(frozen=True, slots=True)
class Row:
    """
    :ivar label: what it is about, as an address.
    :ivar note: what kind of address.
    :ivar outcome: what became of it.
    :ivar marks: each with its place from 0 to 1.
    """

    label: str
    note: str
    outcome: str
    state: State
    bars: tuple[Bar, ...]
    marks: tuple[tuple[float, Mark], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """
    :ivar events: those of the attempt that is told.
    :ivar attempts: how many there were.
    """

    heading: str
    summary: str
    rows: tuple[Row, ...]
    scale: Scale
    events: tuple[Event, ...]
    attempts: int


def story(events: Iterable[Event]) -> Story:
    """
    Of the last attempt.

    :param events: of any number of attempts.
    """
    known = list(events)
    last = last_attempt(known)
    facts = Facts.of(last)
    lobby = None
    if facts.asked is not None and facts.met is not None:
        lobby = (facts.asked, facts.met)
    scale = Scale(facts.begun, facts.ended, lobby)
    rows = [*_server_rows(facts, scale), *_way_rows(facts, scale)]
    attempts = len({event.attempt for event in known})
    head = heading(facts)
    if attempts > 1:
        head += f" (the last of {attempts} attempts)"
    rows = [_visible_row(row) for row in rows]
    return Story(visible(head), visible(summary(facts)), tuple(rows), scale, tuple(last), attempts)


def _visible_row(row: Row) -> Row:
    return replace(
        row,
        label=visible(row.label),
        note=visible(row.note),
        outcome=visible(row.outcome),
    )


def _way_rows(facts: Facts, scale: Scale) -> list[Row]:
    """The relay last, as it is what remains."""
    ways = sorted(facts.ways.values(), key=lambda way: way.begun)
    strangers = [way for way in ways if _is_stranger(way)]
    left = {way.number for way in strangers[_MOST_STRANGERS:]}
    shown = [(way.kind, _way_row(facts, way, scale)) for way in ways if way.number not in left]
    rows = [row for kind, row in shown if kind != "relay"]
    if left:
        rows.append(Row(f"{len(left)} more", "", "connected to no effect", State.LOST, (), ()))
    return rows + [row for kind, row in shown if kind == "relay"]


def _is_stranger(way: WayFacts) -> bool:
    return way.kind == "inbound" and way.lost is not None and way.heard() is None


def _server_rows(facts: Facts, scale: Scale) -> list[Row]:
    rows = []
    for call in facts.calls:
        end = facts.ended if call.ended is None else call.ended
        last = call is facts.calls[-1]
        if last and call.reason is None and facts.asked is not None:
            end = max(end, facts.asked)
        kind = Mark.REFUSED if call.reason is not None else Mark.STANDS
        marks = [(scale.place(call.begun), Mark.DIAL)]
        if call.ended is not None:
            marks.append((scale.place(call.ended), kind))
        rows.append(
            Row(
                f"server {call.address}",
                "",
                server_outcome(facts) if last else call.reason or "",
                State.LOST if call.reason is not None else State.OPEN,
                (Bar(scale.place(call.begun), scale.place(end), Span.CONNECT),),
                tuple(marks),
            )
        )
    if facts.asked is not None:
        end = facts.ended if facts.answered is None else facts.answered
        waited = duration(end - facts.asked)
        answer = "no answer" if facts.status is None else f"{facts.status} {facts.phrase}".strip()
        text = f"the peer came after {waited}" if facts.met else f"{answer} after {waited}"
        bar = Bar(scale.place(facts.asked), scale.place(end), Span.LOBBY)
        note = "shortened" if scale.cut else ""
        state = State.OPEN if facts.met or facts.failed is None else State.LOST
        rows.append(Row("lobby", note, text, state, (bar,), ()))
    return rows


def _way_row(facts: Facts, way: WayFacts, scale: Scale) -> Row:
    at = scale.place
    end = facts.ended if way.ended is None else way.ended
    bars, marks = [], []
    for dial in way.dials:
        stop = end if dial.ended is None else dial.ended
        stood = stop if dial.stood is None else dial.stood
        bars.append(Bar(at(dial.begun), at(stood), Span.CONNECT))
        marks.append((at(dial.begun), Mark.DIAL))
        if dial.stood is not None and dial.ended is not None:  # and was lost
            bars.append(Bar(at(stood), at(stop), Span.HANDSHAKE))
            marks.append((at(stood), Mark.STANDS))
        if dial.ended is not None:
            marks.append((at(stop), Mark.REFUSED))
    if way.stands is not None:
        ready = way.heard()
        bars.append(Bar(at(way.stands), at(end if ready is None else ready), Span.HANDSHAKE))
        if ready is not None and way.waits:
            bars.append(Bar(at(ready), at(end), Span.PATIENCE))
        marks.append((at(way.stands), Mark.STANDS))
    for each in way.lines:
        marks.append((at(each.time), Mark.CONFIRM if each.line == "CONFIRM" else Mark.HELLO))
    if way.ended is not None:
        marks.append((at(way.ended), Mark.CHOSEN if way.chosen else Mark.LOST))
    state = State.WON if way.chosen else State.OPEN if way.lost is None else State.LOST
    label = {"relay": "relay", "inbound": f"from {way.address}"}.get(way.kind, way.address)
    return Row(label, way.space, outcome(way, facts.met), state, tuple(bars), tuple(marks))
