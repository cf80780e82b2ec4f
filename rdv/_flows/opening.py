"""
The source or sink that fits a descriptor.
"""

from __future__ import annotations

import os
import stat

from twisted.internet.interfaces import IReactorFDSet

from rdv._flows.sinks import FileSink, WatchedSink
from rdv._flows.sources import FileSource, Sink, Source, WatchedSource

__all__ = ["open_sink", "open_source"]


def open_source(reactor: IReactorFDSet, fd: int) -> Source:
    """A source for a descriptor, whatever it is."""
    if os.isatty(fd):
        from rdv._flows.keyboard import TerminalSource  # only then

        return TerminalSource(reactor, fd)
    return WatchedSource(reactor, fd) if _is_watchable(fd) else FileSource(fd)


def open_sink(reactor: IReactorFDSet, fd: int) -> Sink:
    """A sink for a descriptor, whatever it is."""
    return FileSink(fd) if os.isatty(fd) or not _is_watchable(fd) else WatchedSink(reactor, fd)


def _is_watchable(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
