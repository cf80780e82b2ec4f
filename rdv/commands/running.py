"""
How a command runs, logs and ends, once its arguments are parsed and Twisted is loaded.

Each command is a module with a coroutine ``run(reactor, arguments, console)`` that returns the exit
status.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Coroutine
from importlib import import_module
from typing import IO, Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogBeginner,
    globalLogPublisher,
    textFileLogObserver,
)
from zope.interface import provider

from rdv._stdio.console import Console, Form
from rdv._system.clock import use_monotonic_clock
from rdv._system.process import ignore_signals, never_wait_for_lookups, take_signals
from rdv._system.verbosity import show_from
from rdv._transport.quiet import unless_quiet
from rdv.errors import BadEndpoint, BadSettings, BadToken, BadURL, RdvError

__all__ = [
    "BROKEN",
    "NO_CONNECTION",
    "OK",
    "BadUsage",
    "Interrupted",
    "lines_of",
    "log_to",
    "observer_for",
    "run",
    "status_of",
    "until_signal",
]

T = TypeVar("T")

#: Exit statuses; that of a signal is 128 plus its number.
OK, NO_CONNECTION, _USAGE, BROKEN, _SIGINT = 0, 1, 2, 3, 130


class BadUsage(RdvError):
    """An invalid argument."""


class Interrupted(Exception):
    """
    A signal has ended the command.

    :ivar status: the exit status for it.
    """

    def __init__(self, status: int) -> None:
        super().__init__("interrupted")
        self.status = status


def status_of(error: RdvError) -> int:
    """The status of a command that an error has ended."""
    wrong_usage = (BadEndpoint, BadSettings, BadToken, BadURL, BadUsage)
    return _USAGE if isinstance(error, wrong_usage) else NO_CONNECTION


async def until_signal(reactor: Any, coroutine: Coroutine[Any, Any, T]) -> T:
    """
    Await ``coroutine``, which SIGINT and SIGTERM cancel, however often they arrive.

    :raises Interrupted: when it has failed after a signal, with any error of ours.
    """
    status = 0

    def handle(number: int) -> None:
        nonlocal status
        status = 128 + number
        reactor.callFromThread(running.cancel)

    reactor.callWhenRunning(take_signals, handle)
    running = Deferred.fromCoroutine(coroutine)
    try:
        return await running
    except (CancelledError, RdvError) as error:
        if status:
            raise Interrupted(status) from error
        raise


def run(arguments: argparse.Namespace) -> int:
    """
    Run the command that was chosen.

    :return: the exit status.
    """
    console = Console(getattr(arguments, "form", Form.TEXT))
    log_to(observer_for(console), "debug" if arguments.verbose else "critical")
    try:
        react(
            lambda reactor: Deferred.fromCoroutine(_exit_with_status(reactor, arguments, console))
        )
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        # The result has been reported. Python's own exit takes a while, and would restore the
        # default actions of signals.
        ignore_signals()
    return OK


async def _exit_with_status(reactor: Any, arguments: argparse.Namespace, console: Console) -> None:
    use_monotonic_clock(reactor)
    never_wait_for_lookups(reactor)
    try:
        # Each command loads only what it needs.
        module = import_module(f"rdv.commands.{arguments.module}")
        # Modules live to the end. Excluding them from garbage collection shortens its pauses, and
        # the exit of the process.
        gc.freeze()
        gc.enable()
        status = await module.run(reactor, arguments, console)
    except RdvError as error:
        status = status_of(error)
        for line in error.refusals if isinstance(error, BadSettings) else [str(error)]:
            console.fail(line, status)
    except Interrupted as error:
        status = error.status
    except KeyboardInterrupt:  # before the reactor runs, no other code handles it
        status = _SIGINT
    raise SystemExit(status)


#: The current log observer.
_observers: list[ILogObserver] = []


def log_to(observer: ILogObserver, level: str) -> None:
    """
    Log to this observer, in place of the previous one.

    :param level: the name of the lowest level that is logged.
    """
    lowest = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    shown = cast(ILogObserver, FilteringLogObserver(observer, [unless_quiet, lowest]))
    if _observers:
        globalLogPublisher.removeObserver(_observers.pop())
        globalLogPublisher.addObserver(shown)
    else:
        globalLogBeginner.beginLoggingTo([shown], redirectStandardIO=False)
    _observers.append(shown)
    show_from(level)


def observer_for(console: Console) -> ILogObserver:
    """The log observer next to ``console``, in its form: lines of text, or events."""
    if console.form is not Form.JSON:
        return textFileLogObserver(lines_of(console))

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


def lines_of(console: Console) -> IO[str]:
    """A file-like object for the lines of a log, which replace what ``console`` is showing."""
    return cast(IO[str], _Lines(console))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.offer(text.removesuffix("\n"))

    def flush(self) -> None:
        """Nothing is held back."""
