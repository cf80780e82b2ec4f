"""
Cutting what has moved no byte for too long.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._flows.joint import Joint

__all__ = ["IdleWatch", "idle_time"]

#: Seconds for strangers, and for those whom the server knows.
_STRANGERS, _KNOWN = 600.0, 3600.0


def idle_time(wanted: float | None, user: str | None) -> float:
    """
    How long a pair may be silent.

    :param wanted: what the operator says; None when that is nothing.
    :param user: who one of the two is; None when nobody knows.
    """
    if wanted is not None:
        return wanted
    return _STRANGERS if user is None else _KNOWN


class IdleWatch:
    """
    Looks at a joint whenever it might have been silent for long enough.

    :param timeout: seconds without a byte in either direction.
    :param expired: called once they are over.
    """

    __slots__ = ("_call", "_clock", "_expired", "_joint", "_timeout")

    def __init__(
        self, clock: IReactorTime, joint: Joint, timeout: float, expired: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._joint = joint
        self._timeout = timeout
        self._expired = expired
        self._call: IDelayedCall | None = None
        self._look()

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _look(self) -> None:
        left = self._joint.active + self._timeout - self._clock.seconds()
        if left <= 0:
            self._expired()
        else:
            self._call = self._clock.callLater(left, self._look)
