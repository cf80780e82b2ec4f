"""
What an attempt ends in, when a trace is told of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rdv.client.connection import Connection

__all__ = ["Traced"]


class Traced(Deferred[Connection]):
    """
    Fires as ``connecting`` does. A trace may cancel it: that waits until the next turn of the
    reactor, as the attempt is in the middle of something when it tells of it.

    :param telling: whether a trace is being called.
    """

    def __init__(
        self, clock: IReactorTime, connecting: Deferred[Connection], telling: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._clock = clock
        self._telling = telling
        self._cancelling: IDelayedCall | None = None
        self.callback(cast(Any, None))
        self.addCallback(lambda _: connecting)
        self.addBoth(self._look)

    def cancel(self) -> None:
        """See :class:`Deferred`."""
        if not self._telling():
            super().cancel()
        elif self._cancelling is None:
            self._cancelling = self._clock.callLater(0, super().cancel)

    def _look(self, result: Connection | Failure) -> Connection | Failure:
        if self._cancelling is not None and self._cancelling.active():  # it is over already
            self._cancelling.cancel()
            if isinstance(result, Connection):
                result.abortConnection()
                raise CancelledError
        return result
