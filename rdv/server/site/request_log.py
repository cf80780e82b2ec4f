"""
What the log is told of requests that were answered over HTTP: of all but good offers.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.web.http import Request, combinedLogFormatter, datetimeToLogString

from rdv._system.verbosity import is_shown

__all__ = ["note_request"]

log = Logger()

#: With these a browser, a scanner or a balancer asks for a page where there is none.
_READING = (b"GET", b"HEAD", b"OPTIONS")


def note_request(request: Request) -> None:
    """
    A request has been answered. What merely shows that somebody is there, or whether we are, is not
    worth a line for most: that is of level ``debug``.
    """
    level = "debug" if request.code == 426 and request.method in _READING else "info"
    if is_shown(level):
        # Twisted's own timestamp is the reactor's, whose clock is no date.
        line = combinedLogFormatter(datetimeToLogString(), request)
        fields = {
            "method": request.method.decode("ascii", "replace"),
            "status": request.code,
            "peer": request.getClientIP() or "unknown",
        }
        note = log.debug if level == "debug" else log.info
        note("{line}", event="request", line=line, **fields)
