"""
Where the events of a server's log go, for each form of it.
"""

from __future__ import annotations

import sys
from typing import IO, cast

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    textFileLogObserver,
)
from zope.interface import implementer

from rdv._system.terminal import Outlet
from rdv.server.logs.addresses import MaskedFile
from rdv.server.logs.lines import access_line, is_end_of_pair, json_line

__all__ = ["ACCESS", "JSON", "TEXT", "log_outlet", "observer"]

TEXT, JSON, ACCESS = "text", "json", "access"

log = Logger()


def log_outlet(file: IO[str]) -> IO[str]:
    """Where a log goes that must not stop a server: it loses lines when nobody reads it."""
    return cast(IO[str], Outlet(file, _say_missing))


def _say_missing(count: int) -> None:
    log.critical("SKIPPED: {count} lines, as nobody was reading", count=count)


def observer(form: str, detail: str, file: IO[str], aside: IO[str] | None = None) -> ILogObserver:
    """
    What writes a server's log.

    :param form: :data:`TEXT`, :data:`JSON` or :data:`ACCESS`.
    :param detail: how much of addresses is shown.
    :param file: writes without waiting; see :func:`log_outlet`.
    :param aside: where with :data:`ACCESS` everything goes that is not a pair; likewise. By default
        to stderr.
    """
    shown = cast(IO[str], MaskedFile(file, detail))
    if form == JSON:
        return FileLogObserver(shown, json_line)
    if form == TEXT:
        return textFileLogObserver(shown)
    beside = log_outlet(sys.stderr) if aside is None else aside
    pairs = FileLogObserver(file, lambda event: access_line(event, detail))
    return _Access(pairs, textFileLogObserver(cast(IO[str], MaskedFile(beside, detail))))


@implementer(ILogObserver)
class _Access:
    """Pairs here, everything else there."""

    def __init__(self, pairs: ILogObserver, others: ILogObserver) -> None:
        self._pairs = pairs
        self._others = others

    def __call__(self, event: LogEvent) -> None:
        (self._pairs if is_end_of_pair(event) else self._others)(event)
