"""
What an operator tells a server by signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from signal import Signals
from typing import Any

from rdv._system.process import release_signals, spare_signals, take_signals

__all__ = ["ServerSignals"]


class ServerSignals:
    """
    SIGINT and SIGTERM end a server; others have it do something, or nothing. All of it happens in a
    turn of the reactor.

    :param ending: called with the name of each SIGINT and SIGTERM.
    :param others: what is called for another signal, by its name.
    :param late: likewise, from when the reactor runs; until then they do nothing.
    """

    def __init__(
        self,
        reactor: Any,
        ending: Callable[[str], object],
        others: Mapping[str, Callable[[], object]],
        late: Mapping[str, Callable[[], object]],
    ) -> None:
        self._reactor = reactor
        self._ending = ending
        self._others = {Signals[name].value: call for name, call in others.items()}
        self._late = {Signals[name].value: call for name, call in late.items()}

    def take_others(self) -> None:
        """From now on; those that have waited until here come at once."""
        spare_signals()
        take_signals(self._other, self._others)
        release_signals()

    def take_all(self) -> None:
        """From now on. To be called when the reactor runs."""
        take_signals(self._end)
        take_signals(self._other, self._late)

    def _other(self, number: int) -> None:
        self._reactor.callFromThread((self._others | self._late)[number])

    def _end(self, number: int) -> None:
        self._reactor.callFromThread(self._ending, Signals(number).name)
