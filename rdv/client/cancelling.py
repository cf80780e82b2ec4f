"""
Cancelling an attempt out of its own trace.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rdv.client.connection import Connection

__all__ = ["CancelledLater"]


class CancelledLater(Deferred[Connection]):
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
        self._connecting = connecting
        self._telling = telling
        self._cancelling: IDelayedCall | None = None
        connecting.addBoth(self._fire)

    def cancel(self) -> None:
        """See :class:`Deferred`."""
        if self.called:
            super().cancel()
        elif not self._telling():
            self._connecting.cancel()
        elif self._cancelling is None:
            self._cancelling = self._clock.callLater(0, self._connecting.cancel)

    def _fire(self, result: Connection | Failure) -> None:
        if self._cancelling is not None and self._cancelling.active():  # it was over before
            self._cancelling.cancel()
            if isinstance(result, Connection):
                result.discard().addCallback(lambda _: self.errback(CancelledError()))
                return
        self.callback(result)
