"""
Logs the requests that were answered over HTTP: all except valid offers.
"""

from __future__ import annotations

from types import SimpleNamespace

from twisted.logger import Logger
from twisted.web.http import Request, combinedLogFormatter, datetimeToLogString

from rdv._system.verbosity import is_shown

__all__ = ["note_request"]

log = Logger()

#: With these a browser, a scanner or a balancer asks for a page where there is none.
_READING = (b"GET", b"HEAD", b"OPTIONS")
#: Bytes that are shown of what a stranger has chosen. A line of 16 KiB takes long to write, and a
#: disk is soon full of them.
_SHOWN = 256


def note_request(request: Request) -> None:
    """
    Log an answered request. Requests that only show that a client is there, or check whether the
    server is, are rarely worth a line: they have level ``debug``.
    """
    level = "debug" if request.code == 426 and request.method in _READING else "info"
    if is_shown(level):
        # Twisted's own timestamp is the reactor's, whose clock is no date.
        line = combinedLogFormatter(datetimeToLogString(), _short(request))
        fields = {
            "method": _cut(request.method).decode("ascii", "replace"),
            "status": request.code,
            "peer": request.getClientIP() or "unknown",
        }
        note = log.debug if level == "debug" else log.info
        note("{line}", event="request", line=line, **fields)


def _short(request: Request) -> SimpleNamespace:
    """What a line is made of."""

    def header(name: bytes) -> bytes | None:
        value = request.getHeader(name)
        return value and _cut(value)

    return SimpleNamespace(
        method=_cut(request.method),
        uri=_cut(request.uri),
        clientproto=_cut(request.clientproto),
        code=request.code,
        sentLength=request.sentLength,
        getClientAddress=request.getClientAddress,
        getHeader=header,
    )


def _cut(value: bytes) -> bytes:
    return value if len(value) <= _SHOWN else value[:_SHOWN] + b"..."
