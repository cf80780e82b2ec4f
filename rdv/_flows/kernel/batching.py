"""
Sockets that wake us only when a large piece has arrived.

A sender at full speed wakes the reader after every segment or two, and that costs more than moving
the bytes does. With ``SO_RCVLOWAT`` the kernel waits until more bytes have arrived. It does not
know which bytes are the last ones for now, so a timer sweeps up unread bytes every few
milliseconds. The kernel reports the end of a stream and an error immediately.
"""

from __future__ import annotations

import socket
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["Batching", "Sweepable"]

log = Logger()

#: Bytes that must have arrived before there is an event.
_BATCH = 1 << 19
#: Seconds between two sweeps. Bytes are delayed by two sweeps at most.
_INTERVAL = 0.004


class Sweepable(Protocol):
    """A flow whose socket may be readable without an event."""

    def sweep(self) -> None:
        """Read what has arrived, if the sender has paused."""


class Batching:
    """
    The flows whose sockets are batched. It has a timer while there are any.

    :param clock: the reactor.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._members: dict[Sweepable, None] = {}
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._members)

    def begin(self, member: Sweepable, sock: socket.socket) -> None:
        """Report ``sock`` as readable only after a whole batch, and sweep ``member`` meanwhile."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _BATCH)
        self._members[member] = None
        if self._call is None:
            self._call = self._clock.callLater(_INTERVAL, self._sweep)

    def end(self, member: Sweepable, sock: socket.socket) -> None:
        """If ``sock`` is batched, report every byte again, including those already there."""
        if member in self._members:
            self.forget(member)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def forget(self, member: Sweepable) -> None:
        """The socket is no longer of interest; it may be closed."""
        self._members.pop(member, None)
        if not self._members and self._call is not None:
            self._call.cancel()
            self._call = None

    def _sweep(self) -> None:
        # Scheduled first, so that ``forget`` can cancel it if the last member leaves.
        self._call = self._clock.callLater(_INTERVAL, self._sweep)
        for member in list(self._members):
            if member in self._members:
                try:
                    member.sweep()
                except Exception:
                    log.failure("while {member} was swept", member=member)
                    self.forget(member)
