"""
Detects that the other side of a connection that is not being read has left.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._flows.kernel.epoll import EPOLLERR, EPOLLHUP, EPOLLRDHUP, Watcher
from rdv._system.sockets import socket_of, unread
from rdv._system.tcp_info import has_owner

__all__ = ["Hangup", "has_hung_up"]

#: Seconds from an end to the first check for an owner, the factor by which the pause between checks
#: grows, and its maximum.
_FIRST_LOOK, _GROWTH, _LONGEST_PAUSE = 0.01, 2.0, 1.0


class Hangup:
    """
    Watches one connection until its other side has left, or until :meth:`stop`. It reads nothing.

    The kernel reports a reset, or the close of a Unix socket. The close of a TCP connection is
    indistinguishable from a half-close, after which the program may be waiting for a response. If
    the other end is within this host, the kernel knows whether a program still has it. If it is
    not, keepalive detects the loss a minute or two later, when the other system has forgotten the
    connection.

    A program that has closed after bytes that are still unread relies on their delivery, and does
    not count as having left.

    :param watcher: watches only for ends, errors and hang-ups.
    :param gone: called once when the other side has left.
    """

    def __init__(
        self,
        clock: IReactorTime,
        watcher: Watcher,
        transport: object,
        gone: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._watcher = watcher
        self._transport = transport
        self._gone = gone
        self._look: IDelayedCall | None = None
        self._pause = _FIRST_LOOK
        self._socket = socket_of(transport)
        self._fd = -1 if self._socket is None else self._socket.fileno()
        if self._fd >= 0:
            with suppress(OSError):  # no descriptor left for an epoll: the loss is noticed later
                watcher.watch(self._fd, EPOLLRDHUP, self._happened, self)

    def stop(self) -> None:
        """Stop watching. Call this before the connection is closed."""
        fd, self._fd = self._fd, -1  # other code may watch it next
        self._watcher.forget(fd)
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def fail(self, error: OSError) -> None:
        """See :class:`rdv._flows.kernel.epoll.Owner`: the loss is noticed later."""

    def _happened(self, events: int) -> None:
        left_nothing = not unread(self._transport)
        if events & EPOLLERR or (events & EPOLLHUP and left_nothing):
            self._nobody()
        elif events & EPOLLHUP:
            self.stop()
        else:  # an end; errors and hang-ups are still reported
            self._watcher.change(self._fd, 0, self._happened)
            if left_nothing:
                self._look = self._clock.callLater(self._pause, self._look_for_owner)

    def _look_for_owner(self) -> None:
        self._look = None
        owned = None if self._socket is None else has_owner(self._socket)
        if owned:
            self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
            self._look = self._clock.callLater(self._pause, self._look_for_owner)
        elif owned is False:
            self._nobody()

    def _nobody(self) -> None:
        self.stop()
        self._gone()


def has_hung_up(transport: object) -> bool:
    """Whether a connection was reset, or is a Unix socket that was closed."""
    sock = socket_of(transport)
    if sock is None:
        return False
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))
