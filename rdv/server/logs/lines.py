"""
Events of the log as lines.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import quote

from twisted.logger import LogEvent, eventAsText

from rdv.server.logs.addresses import masked_host

__all__ = ["COLUMNS", "access_line", "is_end_of_pair", "json_line"]

#: Those of a line of the form ``access``, in their order.
COLUMNS = (
    *("time", "id", "outcome", "reason", "waited", "lasted", "dialer_bytes", "acceptor_bytes"),
    *("dialer_host", "dialer_port", "acceptor_host", "acceptor_port"),
    *("dialer_user", "acceptor_user", "token", "worker"),
)

#: What Twisted's older log has in an event, beside all that begins with ``log_``; and what is the
#: message.
_LEFT_OUT = frozenset(
    ("failure", "format", "isError", "line", "message", "system", "text", "time", "why")
)
_PLAIN = (str, int, float, type(None))


def json_line(event: LogEvent) -> str:
    """
    An event as one flat JSON object, with its end. ``time`` is in seconds since 1970. A field that
    is no text and no number is what it looks like.
    """
    line: dict[str, object] = {
        "event": "log",
        "time": round(event.get("log_time", 0.0), 3),
        "level": getattr(event.get("log_level"), "name", "info"),
        "source": event.get("log_namespace"),
        "message": eventAsText(event, includeTimestamp=False, includeSystem=False),
    }
    for name, value in event.items():
        if not name.startswith("log_") and name not in _LEFT_OUT:
            line[name] = value if isinstance(value, _PLAIN) else str(value)
    return json.dumps(line) + "\n"


def is_end_of_pair(event: LogEvent) -> bool:
    """Whether a pair has ended."""
    return event.get("event") == "ended"


def access_line(event: LogEvent, detail: str) -> str:
    """
    The end of a pair as :data:`COLUMNS`, with the line's end. What is unknown or empty is ``-``;
    what would not stand in a column, such as a space, is written as in a URL.

    :param detail: how much of addresses is shown.
    """
    columns: dict[str, object] = dict(event)
    date = datetime.fromtimestamp(event["log_time"], UTC)
    columns["time"] = date.strftime("%Y-%m-%dT%H:%M:%SZ")
    for side in ("dialer", "acceptor"):
        host, port = masked_host(event[f"{side}_address"], detail)
        columns[f"{side}_host"], columns[f"{side}_port"] = host, port
    return " ".join(_column(columns.get(name)) for name in COLUMNS) + "\n"


def _column(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = "" if value is None else str(value)
    return quote(text.removesuffix("…"), safe=":@") or "-"
