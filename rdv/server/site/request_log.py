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

#: Methods by which browsers, scanners and balancers ask for pages that do not exist.
_READING = (b"GET", b"HEAD", b"OPTIONS")
#: Maximum bytes shown of each text that a client has chosen. Lines of 16 KiB take long to write,
#: and soon fill a disk.
_SHOWN = 256


def note_request(request: Request) -> None:
    """
    Log an answered request. Those that are probably a browser, a scanner or a health check have
    level ``debug``.
    """
    level = "debug" if request.code == 426 and request.method in _READING else "info"
    if is_shown(level):
        # Twisted's own timestamp comes from the reactor, whose clock does not show the date.
        line = combinedLogFormatter(datetimeToLogString(), _short(request))
        fields = {
            "method": _cut(request.method).decode("ascii", "replace"),
            "status": request.code,
            "peer": request.getClientIP() or "unknown",
        }
        note = log.debug if level == "debug" else log.info
        note("{line}", event="request", line=line, **fields)


def _short(request: Request) -> SimpleNamespace:
    """The parts of a request that a log line uses, shortened."""

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
