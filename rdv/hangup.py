"""
Noticing that a connection which is not read has nobody on its other side any more.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress

from rdv.handover import socket_of, unread
from rdv.watcher import EPOLLERR, Watcher

__all__ = ["Hangup", "has_hung_up"]


class Hangup:
    """
    Looks at one connection until it hangs up, or :meth:`stop`. Nothing is read for that.

    What the kernel calls a hang-up is a reset, and of a Unix socket a close; if bytes are left to
    be read there, it is none. TCP does not tell a close from a half-close, behind which somebody
    may wait for an answer: only keepalive does, a minute or two later, when the other system has
    forgotten the connection and resets it.

    :param watcher: asked for nothing but errors and hang-ups, which are always told.
    :param gone: called once when there is nobody.
    """

    def __init__(self, watcher: Watcher, transport: object, gone: Callable[[], object]) -> None:
        self._watcher = watcher
        self._transport = transport
        self._gone = gone
        sock = socket_of(transport)
        self._fd = -1 if sock is None else sock.fileno()
        with suppress(OSError):  # no descriptor left for an epoll: it is noticed later
            watcher.watch(self._fd, 0, self._hung_up, self)

    def stop(self) -> None:
        """Look no more. To be called before the connection is closed."""
        fd, self._fd = self._fd, -1  # somebody else may watch it next
        self._watcher.forget(fd)

    def fail(self, error: OSError) -> None:
        """See :class:`rdv.watcher.Owner`: it is noticed later."""

    def _hung_up(self, events: int) -> None:
        self.stop()
        # Who has closed a Unix socket behind its bytes counts on their delivery.
        if events & EPOLLERR or not unread(self._transport):
            self._gone()


def has_hung_up(transport: object) -> bool:
    """Whether nobody is there any more, as above; what has come before may be unread."""
    sock = socket_of(transport)
    if sock is None:
        return False
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))
