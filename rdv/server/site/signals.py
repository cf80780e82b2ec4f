"""
Handles the signals of a server.
"""

from __future__ import annotations

from collections.abc import Callable
from signal import Signals
from typing import Any

from rdv._system.process import release_signals, spare_signals, take_signals

__all__ = ["ServerSignals"]


class ServerSignals:
    """
    SIGINT and SIGTERM end a server; other signals trigger an action, or nothing. All of this
    happens in a turn of the reactor.

    :param handled: whether to handle signals at all.
    :param ending: called with the name of each SIGINT and SIGTERM.
    :param reload: called for SIGHUP.
    :param replace: called for SIGUSR2, which does nothing until the reactor runs.
    """

    def __init__(
        self,
        reactor: Any,
        handled: bool,
        ending: Callable[[str], object],
        reload: Callable[[], object],
        replace: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._handled = handled
        self._ending = ending
        self._reload = reload
        self._replace = replace

    def take_others(self) -> None:
        """Handle the other signals from now on; pending ones are delivered immediately."""
        if self._handled:
            spare_signals()
            self._take("SIGHUP", self._reload)
            release_signals()

    def take_all(self) -> None:
        """Handle all signals from now on. To be called when the reactor runs."""
        if self._handled:
            take_signals(self._end)
            self._take("SIGUSR2", self._replace)

    def _take(self, name: str, call: Callable[[], object]) -> None:
        take_signals(lambda _: self._reactor.callFromThread(call), [Signals[name]])

    def _end(self, number: int) -> None:
        self._reactor.callFromThread(self._ending, Signals(number).name)
