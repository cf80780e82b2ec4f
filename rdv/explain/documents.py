"""
The documents about an attempt: its events as lines of JSON, or a page with the picture and every
event below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

from rdv._text import visible
from rdv.client.trace import Event
from rdv.explain.picture import STYLE, element
from rdv.explain.story import story_of

__all__ = ["html", "ndjson"]

#: How many events a page lists at most; NDJSON has all of them.
_MOST_EVENTS = 2000

_PAGE_STYLE = """
:root { color-scheme: light dark; }
body { margin: 24px auto; max-width: 1000px; padding: 0 12px; background: var(--back);
  color: var(--ink); font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
svg { max-width: 100%; height: auto; }
details { margin: 16px; }
summary { cursor: pointer; color: var(--faint); }
table { border-collapse: collapse; width: 100%; margin-top: 8px; font-size: 12px; }
th, td { text-align: left; vertical-align: top; padding: 2px 10px 2px 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td:first-child { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
""".strip()


def ndjson(events: Iterable[Event]) -> str:
    """One object per line, as returned by :meth:`rdv.client.trace.Event.record`."""
    return "".join(json.dumps(event.record(), allow_nan=False) + "\n" for event in events)


def html(events: Iterable[Event]) -> str:
    """The last attempt as one HTML document, without scripts or external resources."""
    told = story_of(events)
    begun = told.events[0].time if told.events else 0.0
    rows = "\n".join(_event(event, begun) for event in told.events[:_MOST_EVENTS])
    left = len(told.events) - _MOST_EVENTS
    more = f"<p>{left} more are not listed.</p>" if left > 0 else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(told.heading)}</title>
<style>
{STYLE}
{_PAGE_STYLE}
</style>
</head>
<body class="rdv">
{element(told)}
<details>
<summary>All {len(told.events)} events</summary>
<table>
<thead><tr><th>after</th><th>event</th><th>fields</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{more}
</details>
</body>
</html>
"""


def _event(event: Event, begun: float) -> str:
    record = event.record()
    details = ", ".join(
        f"{name}: {_value(value)}"
        for name, value in record.items()
        if name not in ("event", "time", "attempt") and value is not None and value != []
    )
    after = f"{(event.time - begun) * 1e3:.1f} ms"
    return (
        f"<tr><td>{after}</td><td>{event.what.value}</td><td>{escape(visible(details))}</td></tr>"
    )


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.6f}" if isinstance(value, float) else str(value)
