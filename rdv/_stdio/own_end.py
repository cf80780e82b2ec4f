"""
Decides when the peer of a stream sees our end.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["OwnEnd"]

#: Seconds between two checks of the peer; two in a row must find it silent. Before its first byte,
#: a peer may well be waiting for the end of an empty request, or have nothing to send either. After
#: it, a peer is nearly always just slow, because it compresses or dumps what it sends.
_BEFORE, _LATER = 5.0, 30.0


class OwnEnd:
    """
    Passes on our end immediately if we have sent anything. If not, the end is more useful as a
    receipt, and is held back until the peer has ended and the sink has everything. Some relays and
    peers close both directions at the first end; they then cut nothing off.

    A silent peer may be waiting for our end, and gets it: after 10 seconds if it has not sent
    anything yet; otherwise after 60 to 90.

    :param count: how many bytes the peer has sent.
    :param is_blocked: whether none can arrive, because we have no room for them.
    :param pass_on: called once, when the end is to be passed on.
    """

    def __init__(
        self,
        clock: IReactorTime,
        count: Callable[[], int],
        is_blocked: Callable[[], bool],
        pass_on: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._count = count
        self._is_blocked = is_blocked
        self._pass_on = pass_on
        self._held = False
        self._is_wanted = False
        self._seen = 0
        self._was_silent = False
        self._next_look: IDelayedCall | None = None

    def source_ended(self, *, empty: bool, waits: bool) -> None:
        """
        We have no more data.

        :param empty: we have not sent any data.
        :param waits: the peer has not ended, so it may be waiting for us.
        """
        if self._is_wanted or not empty:
            self._pass_on()
            return
        self._held = True
        if waits:
            self._seen = self._count()
            self._wait()

    def receipt(self) -> None:
        """The peer has ended, and the sink has everything."""
        self._is_wanted = True
        if self._held:
            self._now()

    def stop(self) -> None:
        """Do not check the peer any more: it has ended, or there is no use in our end."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def _now(self) -> None:
        self.stop()
        self._held = False
        self._pass_on()

    def _wait(self) -> None:
        self._next_look = self._clock.callLater(_LATER if self._seen else _BEFORE, self._look)

    def _look(self) -> None:
        self._next_look = None
        count = self._count()
        is_silent = count == self._seen and not self._is_blocked()
        if is_silent and self._was_silent:
            self._now()
            return
        # One check is not enough: if this process was suspended, received data may be unread.
        self._seen, self._was_silent = count, is_silent
        self._wait()
