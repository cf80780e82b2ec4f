"""
The waterfall for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from rdv.client.trace import Event
from rdv.explain.story import Mark, Row, Scale, Span, State, story_of

__all__ = ["waterfall"]

#: The minimum and maximum width, in columns.
_NARROWEST, _WIDEST = 40, 160
_LABEL, _OUTCOME = 0.32, 0.34

#: In Unicode, and in ASCII.
_SYMBOLS: dict[Span | Mark, str] = {
    Span.CONNECT: "─-",
    Span.LOBBY: "·.",
    Span.HANDSHAKE: "━=",
    Span.PATIENCE: "╌~",
    Span.STREAM: "═#",
    Mark.DIAL: "┤>",
    Mark.REFUSED: "✗x",
    Mark.STANDS: "┿+",
    Mark.HELLO: "HH",
    Mark.CONFIRM: "CC",
    Mark.LOST: "┘X",
    Mark.CHOSEN: "★*",
}
_COLOURS = {State.WON: "\x1b[32m", State.LOST: "\x1b[2m", State.OPEN: ""}
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def waterfall(
    events: Iterable[Event], width: int = 80, *, unicode: bool = True, colour: bool = False
) -> str:
    """
    The last attempt, with one row for each way to the peer.

    :param width: of the terminal, in columns. Below 40 it counts as 40.
    :param unicode: whether to use characters other than ASCII.
    :param colour: whether to use terminal escape sequences for colours.
    """
    width = min(max(width, _NARROWEST), _WIDEST)
    symbols = {each: pair[0 if unicode else 1] for each, pair in _SYMBOLS.items()}
    told = story_of(events)
    label, text = int(width * _LABEL), int(width * _OUTCOME)
    chart = width - label - text - 2
    lines = [f"{_BOLD}{line}{_PLAIN}" if colour else line for line in wrap(told.heading, width)]
    lines += [*wrap(told.summary, width), ""]
    if told.rows:
        lines.append(" " * (label + 1) + _axis(told.scale, chart))
    for row in told.rows:
        lines += _row(row, label, chart, text, symbols, _COLOURS[row.state] if colour else "")
    used = {mark for row in told.rows for _, mark in row.marks}
    legend = "  ".join(f"{symbols[mark]} {mark.value}" for mark in Mark if mark in used)
    if legend:
        lines += ["", *wrap(legend, width)]
    if not unicode:
        lines = [line.encode("ascii", "replace").decode() for line in lines]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _axis(scale: Scale, width: int) -> str:
    """Times above the chart, as many as there is room for."""
    line = [" "] * width
    free = 0
    for place, text in scale.ticks(max(width // 10, 2)):
        start = min(round(place * (width - 1)), width - len(text))
        if start >= free:
            line[start : start + len(text)] = text
            free = start + len(text) + 1
    return "".join(line)


def _row(
    row: Row, label: int, chart: int, text: int, symbols: dict[Span | Mark, str], colour: str
) -> list[str]:
    names = [row.label] if not row.note else [f"{row.label} {row.note}", row.label]
    name = next((each for each in names if len(each) <= label), None)
    if name is None:
        half = (label - 2) // 2
        name = f"{row.label[: label - 2 - half]}..{row.label[len(row.label) - half :]}"
    cells = _cells(row, chart, symbols)
    first, *more = wrap(row.outcome, text) or [""]
    head = f"{name:{label}} {cells} {first}"
    behind = [" " * (label + chart + 2) + line for line in more]
    return [f"{colour}{line}{_PLAIN}" if colour else line for line in (head, *behind)]


def _cells(row: Row, width: int, symbols: dict[Span | Mark, str]) -> str:
    cells = [" "] * width
    for bar in row.bars:
        start, end = (round(place * (width - 1)) for place in (bar.start, bar.end))
        end = max(start, end) + 1
        cells[start:end] = symbols[bar.span] * (end - start)
    for place, mark in row.marks:
        cells[round(place * (width - 1))] = symbols[mark]
    return "".join(cells)
