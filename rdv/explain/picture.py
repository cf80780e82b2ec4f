"""
The waterfall as a picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from rdv.client.trace import Event
from rdv.explain.story import Mark, Row, Scale, Span, State, Story, story_of

__all__ = ["STYLE", "element", "svg"]

WIDTH = 1000
#: In pixels: where the labels begin, where the chart begins and ends, and where the text begins.
_LABEL, _CHART, _CHART_END, _TEXT = 16, 322, 700, 718
#: The width of a line of that text, and of one across the picture; and the characters of a label.
_TEXT_WIDTH, _LINE_WIDTH, _LABEL_CHARS = 272, 960, 46
#: The width of a character at 12 pixels: of most, and of the widest ones.
_NARROW, _WIDE = 7.0, 11.5
#: The horizontal offset of a letter from its place.
_ASIDE = {Mark.HELLO: -4, Mark.CONFIRM: 4}
#: Where a line may end: not before a unit.
_BREAKS = re.compile(r" +(?!(?:ms|s|min|h)\b)")
_LINE, _BAR, _GAP = 16, 12, 12
#: Spans of waiting, which are drawn thin.
_THIN = {Span.LOBBY, Span.PATIENCE}

#: Colours by name, so that one picture fits a light and a dark page.
STYLE = """
.rdv { --back: #ffffff; --ink: #1d2330; --faint: #667085; --line: #e3e7ee; --stripe: #f6f8fb;
  --connect: #8fb3e8; --lobby: #d5dae3; --handshake: #3b76d6; --patience: #e3b341;
  --won: #1a8f4f; --lost: #c2413a; }
@media (prefers-color-scheme: dark) {
  .rdv { --back: #14181f; --ink: #e6e9ef; --faint: #98a2b3; --line: #2b323d; --stripe: #1a2029;
    --connect: #4f76b3; --lobby: #3a4250; --handshake: #7aa9f7; --patience: #b98a1c;
    --won: #4cc38a; --lost: #f0716a; }
}
svg.rdv { background: var(--back); font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.rdv text { fill: var(--ink); }
.rdv .mono { font: 10.5px ui-monospace, "DejaVu Sans Mono", monospace; }
.rdv .head { font-size: 15px; font-weight: 600; }
.rdv .faint { fill: var(--faint); }
.rdv .won { fill: var(--won); font-weight: 600; }
.rdv .back { fill: var(--back); }
.rdv .stripe { fill: var(--stripe); }
.rdv .grid { stroke: var(--line); }
.rdv .CONNECT { fill: var(--connect); }
.rdv .LOBBY { fill: var(--lobby); }
.rdv .HANDSHAKE { fill: var(--handshake); }
.rdv .PATIENCE { fill: var(--patience); }
.rdv .STREAM { fill: var(--won); }
.rdv .mark { stroke: var(--ink); stroke-width: 1.2; fill: none; }
.rdv .REFUSED, .rdv .LOST { stroke: var(--lost); }
.rdv .DIAL { stroke: var(--faint); }
.rdv .letter { font-size: 9px; font-weight: 700; text-anchor: middle; }
.rdv .tick { text-anchor: middle; }
.rdv .CHOSEN { fill: var(--won); stroke: none; }
""".strip()


def svg(events: Iterable[Event]) -> str:
    """The last attempt as one SVG document, without external references."""
    told = story_of(events)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element(told, style=STYLE)}\n'


def element(told: Story, style: str = "") -> str:
    """
    The ``svg`` element.

    :param style: CSS rules to include, if the page does not have them.
    """
    parts: list[str] = []
    y = 16.0
    for text in _lines(told.heading, _LINE_WIDTH / 1.35):
        y += 18
        parts.append(_text(_LABEL, y, text, "head"))
    y += 4
    for text in _lines(told.summary, _LINE_WIDTH):
        y += _LINE
        parts.append(_text(_LABEL, y, text))
    y += 34
    top = y
    body: list[str] = []
    for number, row in enumerate(told.rows):
        height = _height(row)
        if number % 2 == 0:
            parts.append(_rect("stripe", 0, y, WIDTH, height))
        body += _row(row, y)
        y += height
    parts += _grid(told.scale, top, y)
    parts += body
    y += 26
    parts += _legend(told, y)
    height = y + 36
    title, described = escape(told.heading), escape(told.summary)
    return (
        f'<svg class="rdv" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img" aria-labelledby="rdv-title rdv-desc">\n'
        f'<title id="rdv-title">{title}</title>\n<desc id="rdv-desc">{described}</desc>\n'
        + (f"<style>{style}</style>\n" if style else "")
        + _rect("back", 0, 0, WIDTH, height)
        + "\n"
        + "\n".join(parts)
        + "\n</svg>"
    )


def _height(row: Row) -> float:
    lines = max(len(_lines(row.outcome, _TEXT_WIDTH)), 2 if row.note else 1)
    return lines * _LINE + _GAP


def _row(row: Row, y: float) -> list[str]:
    """One row, as a group with a name."""
    label = _shortened(row.label)
    parts = [f'<g class="row" data-state="{row.state.value}">']
    parts.append(f"<title>{escape(f'{row.label} {row.note}: {row.outcome}')}</title>")
    kind = "mono won" if row.state is State.WON else "mono"
    base = y + _GAP / 2 + 12
    parts.append(_text(_LABEL, base, label, kind))
    if row.note:
        parts.append(_text(_LABEL, base + _LINE - 2, row.note, "faint"))
    middle = y + _GAP / 2 + 8
    for bar in row.bars:
        start, end = _x(bar.start), _x(bar.end)
        thin = 4 if bar.span in _THIN else _BAR
        width = max(end - start, 1.5)
        parts.append(_rect(f"bar {bar.span.name}", start, middle - thin / 2, width, thin))
    parts += [_mark(mark, _x(place), middle) for place, mark in _distinct(row)]
    kind = "won" if row.state is State.WON else ""
    for number, line in enumerate(_lines(row.outcome, _TEXT_WIDTH)):
        parts.append(_text(_TEXT, base + number * _LINE, line, kind))
    return [*parts, "</g>"]


def _distinct(row: Row) -> list[tuple[float, Mark]]:
    """The marks, without equal ones at the same pixel."""
    return list({(round(_x(place)), mark): (place, mark) for place, mark in row.marks}.values())


def _mark(mark: Mark, x: float, y: float) -> str:
    match mark:
        case Mark.DIAL:
            return f'<path class="mark {mark.name}" d="M{x:.1f} {y - 8:g}v16"/>'
        case Mark.REFUSED | Mark.LOST:
            size = 3 if mark is Mark.REFUSED else 4
            left, upper, both = x - size, y - size, 2 * size
            cross = f"M{left:.1f} {upper:g}l{both} {both}m0 -{both}l-{both} {both}"
            return f'<path class="mark {mark.name}" d="{cross}"/>'
        case Mark.STANDS:
            return f'<circle class="mark {mark.name}" cx="{x:.1f}" cy="{y:g}" r="3"/>'
        case Mark.HELLO | Mark.CONFIRM:  # often at the same place
            return _text(x + _ASIDE[mark], y - 7, mark.value[0], f"letter {mark.name}")
        case Mark.CHOSEN:
            star = "l2.4 5 5.6 .7 -4 3.9 1 5.5 -5 -2.7 -5 2.7 1 -5.5 -4 -3.9 5.6 -.7z"
            return f'<path class="{mark.name}" d="M{x:.1f} {y - 8:g}{star}"/>'


def _grid(scale: Scale, top: float, bottom: float) -> list[str]:
    parts = []
    for place, text in scale.ticks(5):
        x = _x(place)
        parts.append(f'<path class="grid" d="M{x:.1f} {top - 4:g}V{bottom:g}"/>')
        parts.append(_text(x, top - 10, text, "tick faint"))
    return parts


def _legend(told: Story, y: float) -> list[str]:
    """Two lines: of bars, and of marks."""
    used = {bar.span for row in told.rows for bar in row.bars}
    marks = {mark for row in told.rows for _, mark in row.marks}
    parts, x = [], float(_LABEL)
    for span in Span:
        if span in used:
            parts.append(_rect(f"bar-key {span.name}", x, y - 9, 18, 9))
            parts.append(_text(x + 24, y, span.value, "faint"))
            x += 44 + 6.4 * len(span.value)
    x, y = float(_LABEL), y + 20
    for mark in Mark:
        if mark in marks:
            letter = mark in _ASIDE
            parts.append(_mark(mark, x + 6 - _ASIDE.get(mark, 0), y + 7 if letter else y - 4))
            parts.append(_text(x + 17, y, mark.value, "faint"))
            x += 38 + 7.2 * len(mark.value)
    return parts


def _x(place: float) -> float:
    return _CHART + place * (_CHART_END - _CHART)


def _lines(text: str, width: float) -> list[str]:
    """Break a text into lines that are not wider than ``width``, whatever the font."""
    lines: list[str] = []
    left = 0.0
    most = int(width / _WIDE)
    for word in _BREAKS.split(text.strip()):
        for piece in (word[start : start + most] for start in range(0, len(word), most)):
            needed = sum(_WIDE if char.isupper() or char in "mw@%" else _NARROW for char in piece)
            if lines and needed <= left:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
                left = width + _NARROW
            left -= needed + _NARROW
    return lines


def _shortened(label: str) -> str:
    if len(label) <= _LABEL_CHARS:
        return label
    half = (_LABEL_CHARS - 1) // 2
    return f"{label[:half]}…{label[-half:]}"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:g}">{escape(text)}</text>'


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    corner = ' rx="2"' if kind.startswith("bar") else ""
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}"'
        f"{corner}/>"
    )
