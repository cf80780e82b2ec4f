"""
What a command logs, on stderr.
"""

from __future__ import annotations

from typing import IO, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogBeginner,
    textFileLogObserver,
)
from zope.interface import provider

from rdv._stdio.console import Console, Form
from rdv._transport.quiet import unless_quiet

__all__ = ["begin_logging", "log_level", "observer_for"]


def begin_logging(verbose: bool, console: Console) -> None:
    """Log from :func:`log_level` on: in lines of text, or as events where everything is one."""
    level = LogLevel.levelWithName(log_level(verbose))
    observer = FilteringLogObserver(
        observer_for(console), [unless_quiet, LogLevelFilterPredicate(defaultLogLevel=level)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def log_level(verbose: bool) -> str:
    """The name of the level from which on a command logs."""
    return "debug" if verbose else "critical"


def observer_for(console: Console) -> ILogObserver:
    """What logs beside ``console``, in its form."""
    if console.form is not Form.JSON:
        return textFileLogObserver(cast(IO[str], _Lines(console)))

    @provider(ILogObserver)
    def tell(event: LogEvent) -> None:
        console.tell(
            "log",
            time=event["log_time"],
            level=event["log_level"].name,
            source=event.get("log_namespace"),
            message=eventAsText(event, includeTimestamp=False, includeSystem=False),
        )

    return cast(ILogObserver, tell)


class _Lines:
    """As much of a file as a log needs. A line of it does not go behind what is just shown."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.offer(text.removesuffix("\n"))

    def flush(self) -> None:
        """Nothing is held back."""
