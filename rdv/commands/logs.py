"""
What a command logs, on stderr.
"""

from __future__ import annotations

import sys

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

__all__ = ["begin_logging", "log_level"]


def begin_logging(verbose: bool) -> None:
    """Log from :func:`log_level` on."""
    level = LogLevel.levelWithName(log_level(verbose))
    observer = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(defaultLogLevel=level)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def log_level(verbose: bool) -> str:
    """The name of the level from which on a command logs."""
    return "debug" if verbose else "critical"
