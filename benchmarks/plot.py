"""
Draws the results of ``benchmarks/relay.py --json FILE``: throughput and CPU time by the number of
pairs, one line for each relay, as a self-contained SVG::

    python -m benchmarks.plot FILE docs/relay.svg
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

#: The points of each relay: number of pairs, and a figure.
_Lines: TypeAlias = Mapping[str, Sequence[tuple[float, float]]]

_WIDTH, _HEIGHT = 900, 440
#: Distinguishable with colour blindness, too.
_COLOURS = {
    "rdv": "#d55e00",
    "haproxy": "#0072b2",
    "C loop": "#222222",
    "socat": "#009e73",
    "transit": "#aa4499",
}
_NAMES = {
    "haproxy": "HAProxy, splicing",
    "C loop": "C splice loop",
    "transit": "magic-wormhole-transit-relay",
}
_MARK = 3.5


@dataclass(frozen=True)
class _Axis:
    """Maps a value to a position between *start* and *end*, in pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """The position of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the axis."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
            return [
                tick for tick in found if self.low <= tick * 1.001 and tick <= self.high * 1.001
            ]
        step = next(
            step * 10.0**decade
            for decade in range(-6, 12)
            for step in (1, 2, 5)
            if (self.high - self.low) / (step * 10.0**decade) <= 6
        )
        return [step * i for i in range(math.ceil(self.low / step), int(self.high / step) + 1)]


def _text(x: float, y: float, words: str, anchor: str = "middle", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def panel(left: float, width: float, title: str, lines: _Lines, logarithmic: bool) -> list[str]:
    """
    One diagram.

    :param logarithmic: whether the vertical axis is logarithmic; the horizontal one always is.
    """
    top, bottom, right = 124.0, _HEIGHT - 52.0, left + width
    values = [value for points in lines.values() for _, value in points]
    pairs = sorted({number for points in lines.values() for number, _ in points})
    low = min(values) / 1.3 if logarithmic else 0.0
    across = _Axis(pairs[0] / 1.25, pairs[-1] * 1.25, left, right, True)
    up = _Axis(low, max(values) * (1.3 if logarithmic else 1.08), bottom, top, logarithmic)
    svg = [_text(left, top - 20, title, "start", ' font-weight="600" font-size="15"')]
    for tick in up.ticks():
        y = up.place(tick)
        svg += [_line(left, y, right, y, "#e2e2e2"), _text(left - 8, y + 4.5, f"{tick:g}", "end")]
    for number in pairs:
        x = across.place(number)
        svg += [_line(x, bottom, x, bottom + 5, "#666"), _text(x, bottom + 21, f"{number:g}")]
    svg += [
        _line(left, bottom, right, bottom, "#666"),
        _text((left + right) / 2, bottom + 42, "pairs at once"),
    ]
    for relay in reversed(list(lines)):  # so that the first one is on top
        colour = _COLOURS.get(relay, "#888888")
        points = [(across.place(number), up.place(value)) for number, value in lines[relay]]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        svg.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        svg += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_MARK}" fill="{colour}"/>' for x, y in points
        ]
    return svg


def _legend(relays: Sequence[str]) -> list[str]:
    svg, x = [], 62.0
    for relay in relays:
        name, colour = _NAMES.get(relay, relay), _COLOURS.get(relay, "#888888")
        svg += [
            f'<path d="M{x:.1f} 54h24" stroke="{colour}" stroke-width="2.2"/>',
            f'<circle cx="{x + 12:.1f}" cy="54" r="{_MARK}" fill="{colour}"/>',
            _text(x + 31, 58.5, name, "start"),
        ]
        x += 31 + 7.2 * len(name) + 26
    return svg


def draw(everything: Mapping[str, Any]) -> str:
    """The whole picture."""
    rows = [row for row in everything["rows"] if row["group"] == "oneway"]
    relays = list(dict.fromkeys(row["relay"] for row in rows))

    def lines(figure: str) -> _Lines:
        return {
            relay: sorted(
                (row["pairs"], row["median"][figure]) for row in rows if row["relay"] == relay
            )
            for relay in relays
        }

    title = "One way through a relay on one machine, over loopback"
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif" font-size="13" '
        'fill="#222">',
        f"<title>{escape(title)}: throughput and CPU time against the number of pairs</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(62, 28, title, "start", ' font-weight="600" font-size="17"'),
        *_legend(relays),
        *panel(
            62, 365, "Throughput, GB/s: more is better", lines("gb_per_second"), logarithmic=False
        ),
        *panel(
            512,
            365,
            "CPU of the relay, s per GB: less is better",
            lines("relay_cpu_per_gb"),
            logarithmic=True,
        ),
        "</svg>",
    ]
    return "\n".join(svg) + "\n"


if __name__ == "__main__":
    source, target = sys.argv[1:]
    Path(target).write_text(draw(json.loads(Path(source).read_text())))
