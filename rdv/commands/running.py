"""
What the ``rdv`` command does, once its arguments are read and Twisted is there.

Each command is a module here with a coroutine ``run(reactor, arguments, console)`` that returns the
exit status.
"""

from __future__ import annotations

import argparse
import signal
from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from rdv._stdio.console import Console, Form
from rdv._system.clock import use_monotonic_clock
from rdv.commands.logs import begin_logging
from rdv.commands.lookups import never_wait_for_lookups
from rdv.commands.status import INTERRUPTED, OK, status_of
from rdv.errors import RdvError

__all__ = ["run"]

_MODULES = {
    "serve": "serve",
    "dial": "stream",
    "accept": "stream",
    "expose": "expose",
    "connect": "connect",
    "demo": "demo",
    "check": "check",
}


def run(arguments: argparse.Namespace) -> int:
    """
    Run the command that was chosen.

    :return: the exit status.
    """
    console = Console(getattr(arguments, "form", Form.TEXT))
    begin_logging(arguments.verbose, console)
    try:
        react(
            lambda reactor: Deferred.fromCoroutine(_exit_with_status(reactor, arguments, console))
        )
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        # How it ended has been told. Python's own end takes a while, and would give back to the
        # signals what they do to any process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    return OK


async def _exit_with_status(reactor: Any, arguments: argparse.Namespace, console: Console) -> None:
    use_monotonic_clock(reactor)
    never_wait_for_lookups(reactor)
    try:
        # Each command loads only what it needs.
        module = import_module(f"rdv.commands.{_MODULES[arguments.command]}")
        status = await module.run(reactor, arguments, console)
    except RdvError as error:
        status = status_of(error)
        console.fail(str(error), status)
    except KeyboardInterrupt:  # before the reactor runs, nobody else handles it
        status = INTERRUPTED
    raise SystemExit(status)
