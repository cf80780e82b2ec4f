"""
The log observers for each format of a server's log.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import IO, cast
from urllib.parse import quote

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    eventAsText,
    textFileLogObserver,
)
from zope.interface import implementer

from rdv._system.terminal import Outlet
from rdv.server.logs.addresses import MaskedFile, Masking, masked_host

__all__ = [
    "ACCESS",
    "COLUMNS",
    "JSON",
    "TEXT",
    "access_line",
    "is_end_of_pair",
    "json_line",
    "log_outlet",
    "observer",
]

TEXT, JSON, ACCESS = "text", "json", "access"

log = Logger()


#: The columns of a line in the format ``access``, in order.
COLUMNS = (
    *("time", "id", "outcome", "reason", "waited", "lasted", "dialer_bytes", "acceptor_bytes"),
    *("dialer_host", "dialer_port", "acceptor_host", "acceptor_port"),
    *("dialer_user", "acceptor_user", "token", "worker"),
)

#: Fields that Twisted's legacy log adds to an event, besides those that begin with ``log_``, and
#: the fields of which the message consists.
_LEFT_OUT = frozenset(
    ("failure", "format", "isError", "line", "message", "system", "text", "time", "why")
)
_PLAIN = (str, int, float, type(None))


def json_line(event: LogEvent) -> str:
    """
    An event as one flat JSON object and a newline. ``time`` is in seconds since 1970. A field that
    is neither text nor a number is converted to text.
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
    """Whether the event reports the end of a pair."""
    return event.get("event") == "ended"


def access_line(event: LogEvent, detail: str) -> str:
    """
    The end of a pair as :data:`COLUMNS` and a newline. Unknown and empty values are ``-``;
    characters that would break a column, such as a space, are percent-encoded.

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


def log_outlet(file: IO[str]) -> IO[str]:
    """A log file that never blocks the server: it drops lines when nobody reads them."""
    return cast(IO[str], Outlet(file, _say_missing))


def _say_missing(count: int) -> None:
    log.critical("SKIPPED: {count} lines, because nobody was reading", count=count)


def observer(
    form: str, masking: Masking, file: IO[str], aside: IO[str] | None = None
) -> ILogObserver:
    """
    The observer that writes a server's log.

    :param form: :data:`TEXT`, :data:`JSON` or :data:`ACCESS`.
    :param masking: determines how much of an address is shown.
    :param file: does not block; see :func:`log_outlet`.
    :param aside: with :data:`ACCESS`, where all other events go; does not block either. By default
        stderr.
    """
    shown = cast(IO[str], MaskedFile(file, masking))
    if form == JSON:
        return FileLogObserver(shown, json_line)
    if form == TEXT:
        return textFileLogObserver(shown)
    beside = log_outlet(sys.stderr) if aside is None else aside
    pairs = FileLogObserver(file, lambda event: access_line(event, masking.detail))
    return _Access(pairs, textFileLogObserver(cast(IO[str], MaskedFile(beside, masking))))


@implementer(ILogObserver)
class _Access:
    """Sends the ends of pairs to one observer, and all other events to another."""

    def __init__(self, pairs: ILogObserver, others: ILogObserver) -> None:
        self._pairs = pairs
        self._others = others

    def __call__(self, event: LogEvent) -> None:
        (self._pairs if is_end_of_pair(event) else self._others)(event)
