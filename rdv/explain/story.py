"""
What to draw: rows with bars and marks on a time axis, and the text beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from rdv._text import visible
from rdv.client.trace import Event, What
from rdv.explain.facts import Facts, Way, last_attempt
from rdv.explain.words import duration, heading, outcome, server_outcome, summary

__all__ = ["Bar", "Mark", "Row", "Scale", "Span", "State", "Story", "story_of"]

#: How many incoming connections from hosts other than the peer have a row of their own.
_MOST_STRANGERS = 30
#: If the wait in the lobby is longer than this many times the rest, it gets this share of the axis.
_LONG_LOBBY, _LOBBY_SHARE = 3, 0.12


class Span(Enum):
    """The activity during a period."""

    CONNECT = "connecting"
    LOBBY = "waiting for the peer"
    HANDSHAKE = "handshake"
    PATIENCE = "ready, waiting for a better one"
    STREAM = "the stream, until it moves"


class Mark(Enum):
    """
    An event at one moment, the most important last: of several at one place, that one is visible.
    """

    DIAL = "dial"
    REFUSED = "refused"
    STANDS = "connected"
    HELLO = "HELLO"
    CONFIRM = "CONFIRM"
    LOST = "lost"
    CHOSEN = "chosen"


class State(Enum):
    """The result of a row."""

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
    :ivar label: the subject, as an address.
    :ivar note: what kind of address.
    :ivar outcome: its result.
    :ivar marks: each with its place from 0 to 1, the more important ones after the others.
    """

    label: str
    note: str
    outcome: str
    state: State
    bars: tuple[Bar, ...]
    marks: tuple[tuple[float, Mark], ...]


class Scale:
    """
    Converts times to places between 0 and 1.

    :param begin, end: the first and the last moment.
    :param lobby: the period in which the client only waited. It is drawn shorter than it was if it
        would squash the rest.
    """

    def __init__(self, begin: float, end: float, lobby: tuple[float, float] | None = None) -> None:
        self._begin = begin
        self._length = max(end - begin, 1e-6)
        self.cut = False
        self._lobby = (begin, begin)
        if lobby is not None and begin <= lobby[0] < lobby[1] < end:
            waited = lobby[1] - lobby[0]
            rest = self._length - waited
            shown = rest * _LOBBY_SHARE / (1 - _LOBBY_SHARE)
            if rest > 0 and waited > _LONG_LOBBY * rest:
                self.cut = True
                self._lobby = lobby
                self._shrink = shown / waited
                self._length = rest + shown

    def place(self, time: float) -> float:
        """The place of a time: 0 for any before the beginning, 1 for any after the end."""
        passed = time - self._begin
        if self.cut:
            start, end = self._lobby
            inside = min(max(time, start), end) - start
            passed -= inside * (1 - self._shrink)
        return min(max(passed / self._length, 0.0), 1.0)

    def ticks(self, most: int) -> Iterator[tuple[float, str]]:
        """
        Round times, no more than ``most``.

        :return: for each, its place, and the time since the start as text. If the axis is cut, it
            is the time since the end of the lobby.
        """
        origin = self._lobby[1] if self.cut else self._begin
        first = self.place(origin)
        span = self._length * (1 - first)
        step = _round_up(span / max(most, 1))
        number = 0
        while number * step <= span * (1 + 1e-9):
            after = duration(number * step)
            yield first + number * step / self._length, f"+{after}" if self.cut else after
            number += 1


def _round_up(seconds: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(seconds, 1e-9)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= seconds)


@dataclass(frozen=True, slots=True)
class Story:
    """:ivar events: those of the attempt."""

    heading: str
    summary: str
    rows: tuple[Row, ...]
    scale: Scale
    events: tuple[Event, ...]


def story_of(events: Iterable[Event]) -> Story:
    """
    The story of the last attempt.

    :param events: the events of any number of attempts.
    """
    known = list(events)
    last = last_attempt(known)
    facts = Facts(last)
    lobby = None
    if facts.asked is not None and facts.met is not None:
        lobby = (facts.asked, facts.met)
    scale = Scale(facts.begun, facts.ended, lobby)
    rows = [*_server_rows(facts, scale), *_way_rows(facts, scale)]
    attempts = len({event.attempt for event in known})
    head = heading(facts)
    if attempts > 1:
        head += f" (the last of {attempts} attempts)"
    return Story(visible(head), visible(summary(facts)), tuple(rows), scale, tuple(last))


def _row(
    label: str,
    note: str,
    outcome: str,
    state: State,
    bars: Iterable[Bar] = (),
    marks: Iterable[tuple[float, Mark]] = (),
) -> Row:
    """Make a row. Its text, parts of which others have chosen, is made safe to show."""
    order = list(Mark).index
    ranked = sorted(marks, key=lambda each: order(each[1]))
    return Row(visible(label), visible(note), visible(outcome), state, tuple(bars), tuple(ranked))


def _way_rows(facts: Facts, scale: Scale) -> list[Row]:
    """The rows of all ways, with the relay last, because it is the fallback."""
    ways = sorted(facts.ways, key=lambda way: way.begun)
    left = set([way for way in ways if _is_stranger(way)][_MOST_STRANGERS:])
    shown = [(way.kind, _way_row(facts, way, scale)) for way in ways if way not in left]
    rows = [row for kind, row in shown if kind != "relay"]
    if left:
        rows.append(_row(f"{len(left)} more", "", "connected, but sent nothing", State.LOST))
    return rows + [row for kind, row in shown if kind == "relay"]


def _is_stranger(way: Way) -> bool:
    return way.kind == "inbound" and way.lost is not None and way.heard is None


def _server_rows(facts: Facts, scale: Scale) -> list[Row]:
    rows, at = [], scale.place
    place = "proxy" if What.PROXIED in facts.last else "server"
    for call in facts.calls:
        over = call.stood if call.ended is None else call.ended
        text, state, mark = call.reason or "", State.OPEN, Mark.STANDS
        if call.reason is not None:
            state, mark = State.LOST, Mark.REFUSED
        end = facts.ended if over is None else over
        if call is facts.calls[-1]:
            text = server_outcome(facts)
            if call.reason is None and facts.asked is not None:
                end = max(end, facts.asked)
        marks = [(at(call.begun), Mark.DIAL)]
        if over is not None:
            marks.append((at(over), mark))
        bar = Bar(at(call.begun), at(end), Span.CONNECT)
        rows.append(_row(f"{place} {call.address}", "", text, state, [bar], marks))
    if facts.asked is not None:
        end = facts.ended if facts.answered is None else facts.answered
        waited = duration(end - facts.asked)
        answer = "no answer" if facts.status is None else f"{facts.status} {facts.phrase}".strip()
        text = f"the peer came after {waited}" if facts.met else f"{answer} after {waited}"
        bar = Bar(at(facts.asked), at(end), Span.LOBBY)
        state = State.OPEN if facts.met or facts.failed is None else State.LOST
        rows.append(_row("lobby", "shortened" if scale.cut else "", text, state, [bar]))
    return rows


def _way_row(facts: Facts, way: Way, scale: Scale) -> Row:
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
        ready = end if way.heard is None or _joins(way, facts) else way.heard.time
        bars.append(Bar(at(way.stands), at(ready), Span.HANDSHAKE))
        if way.heard is not None and way.waits is not None:
            bars.append(Bar(at(ready), at(end), Span.PATIENCE))
        marks.append((at(way.stands), Mark.STANDS))
    for event in way.lines:
        confirms = event.fields.get("line") == "CONFIRM"
        marks.append((at(event.time), Mark.CONFIRM if confirms else Mark.HELLO))
    if facts.moves and way is facts.winner and way.ended is not None:
        bars.append(Bar(at(way.ended), at(facts.ended), Span.STREAM))
    if way.ended is not None:
        marks.append((at(way.ended), Mark.CHOSEN if way.chosen else Mark.LOST))
    state = _state(way, facts)
    label = {"relay": "relay", "inbound": f"from {way.address}"}.get(way.kind, way.address)
    return _row(label, way.space, outcome(way, facts), state, bars, marks)


def _joins(way: Way, facts: Facts) -> bool:
    """Whether its handshake continued after CONFIRM, because it had to take over a stream."""
    confirmed = any(event.fields.get("line") == "CONFIRM" for event in way.lines)
    return facts.moves and way is not facts.winner and confirmed


def _state(way: Way, facts: Facts) -> State:
    if way.lost is not None:
        return State.LOST
    left = facts.moved is not None and way is not facts.moved_to
    return State.WON if way.chosen and not left else State.OPEN
