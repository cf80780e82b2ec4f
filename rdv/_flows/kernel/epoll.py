"""
A separate epoll, which the reactor watches as one descriptor.

A Twisted reactor takes several microseconds to get from an event to the descriptor's method, and
two system calls to change what it watches a descriptor for. Moving bytes needs none of that. All
descriptors of spliced flows are therefore watched here, and any reactor sees a single descriptor
that is readable while any of them has something to do.
"""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from contextlib import suppress
from time import thread_time
from typing import Protocol, TypeAlias

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = [
    "EPOLLERR",
    "EPOLLHUP",
    "EPOLLIN",
    "EPOLLOUT",
    "EPOLLRDHUP",
    "Handler",
    "IReactor",
    "Owner",
    "Watcher",
]

log = Logger()

# 0 on systems without epoll, so that this module can be imported everywhere.
EPOLLERR: int = getattr(select, "EPOLLERR", 0)
EPOLLHUP: int = getattr(select, "EPOLLHUP", 0)
EPOLLIN: int = getattr(select, "EPOLLIN", 0)
EPOLLOUT: int = getattr(select, "EPOLLOUT", 0)
EPOLLRDHUP: int = getattr(select, "EPOLLRDHUP", 0)

#: Called with the events of one descriptor, as in ``select.epoll``.
Handler: TypeAlias = Callable[[int], object]


class Owner(Protocol):
    """The owner of a descriptor."""

    def fail(self, error: OSError) -> None:
        """It is no longer watched."""


#: Events fetched from the kernel at once, and bytes that their handlers may move in total. If each
#: moved a large piece, some flows would get next to nothing for seconds.
_EVENTS, _BYTES = 64, 1 << 23
#: Getting here through the reactor costs more than handling an event. Therefore, if ``_STREAK``
#: times in a row there was an event within ``_BUSY`` seconds of the last one, the next one is
#: waited for here, for at most ``_LINGER`` seconds. (A shorter wait costs more: below the kernel's
#: tick, each wait needs a timer, the most expensive part of all this in a virtual machine.) After
#: ``_TURN`` seconds the reactor gets its turn.
_STREAK, _BUSY, _LINGER, _TURN = 8, 0.0005, 0.004, 0.001
#: If the thread has computed for more than ``_OTHERS`` seconds between two of our turns, other code
#: has work too, and the next ``_POLITE`` turns do not wait for events. (A turn of the reactor with
#: nothing to do takes a third of that.)
_OTHERS, _POLITE = 0.00005, 64


class IReactor(IReactorFDSet, IReactorTime):
    """The part of a reactor that this module needs."""


@implementer(IReadDescriptor)
class Watcher:
    """
    Watches descriptors, level-triggered. While it watches any, it has one descriptor of its own,
    which the reactor watches.

    :ivar reactor: the one given.
    :ivar now: the reactor's time when the current events were fetched, in seconds.
    :ivar share: how many bytes each descriptor should move at most.
    """

    def __init__(self, reactor: IReactor) -> None:
        self.reactor = reactor
        self._handlers: dict[int, Handler] = {}
        self._owners: dict[int, Owner] = {}
        self._epoll: select.epoll | None = None
        self._streak = 0
        self._polite = 0
        self._computed = 0.0
        self.now = reactor.seconds()
        self.share = _BYTES

    def __len__(self) -> int:
        return len(self._handlers)

    def watch(self, fd: int, events: int, handler: Handler, owner: Owner) -> None:
        """
        Call ``handler`` with the events of ``fd``; an error or a hang-up is always reported.

        :param owner: notified when a handler has failed.
        :raises OSError: when no descriptor is left for the epoll, or ``fd`` cannot be watched.
        """
        try:
            if self._epoll is None:
                self._epoll = select.epoll()
                self.reactor.addReader(self)
            self._epoll.register(fd, events)
        except OSError:
            self._rest()
            raise
        self._handlers[fd] = handler
        self._owners[fd] = owner

    def change(self, fd: int, events: int, handler: Handler) -> None:
        """
        Watch a descriptor for other events than before, and report them to ``handler``; it may have
        been closed already.
        """
        assert self._epoll is not None
        with suppress(OSError):
            self._epoll.modify(fd, events)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``, if it was watched; it may have been closed already."""
        if self._handlers.pop(fd, None) is not None:
            del self._owners[fd]
            assert self._epoll is not None
            with suppress(OSError):
                self._epoll.unregister(fd)
            self._rest()

    def _rest(self) -> None:
        if not self._handlers and self._epoll is not None:
            self.reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None

    # What the reactor calls.

    def fileno(self) -> int:
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "watcher"

    def doRead(self) -> None:
        """
        Handle the events. While they follow each other closely, and the reactor has nothing else to
        do, wait here for more of them before returning to it.
        """
        if thread_time() - self._computed > _OTHERS:
            self._polite = _POLITE
        begun = self.reactor.seconds()
        self._streak = self._streak + 1 if begun - self.now < _BUSY else 0
        if self._polite:
            self._polite -= 1
            self._work(0, begun)
        else:
            self._work(_LINGER if self._streak >= _STREAK else 0, begun + _TURN)
        self._computed = thread_time()

    def _work(self, wait: float, until: float) -> None:
        clock, handlers = self.reactor.seconds, self._handlers
        while self._epoll is not None:  # its last descriptor may have been forgotten
            events = self._epoll.poll(wait, _EVENTS)
            if not events:
                return
            self.now = now = clock()
            self.share = _BYTES // len(events)
            for fd, what in events:
                handler = handlers.get(fd)  # an earlier one may have forgotten it
                if handler is not None:
                    try:
                        handler(what)
                    except Exception:
                        self._has_failed(fd)
            if now >= until:
                return

    def _has_failed(self, fd: int) -> None:
        # A bug in one handler must not affect other descriptors.
        log.failure("while {fd} was handled", fd=fd)
        owner = self._owners.get(fd)
        self.forget(fd)
        if owner is not None:
            try:
                owner.fail(OSError(errno.EIO, "a mistake in this program"))
            except Exception:
                log.failure("while the failure of {fd} was told", fd=fd)

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IFileDescriptor`: the reactor cannot watch it any more."""
        owners = list(self._owners.values())
        for fd in list(self._handlers):
            self.forget(fd)
        for owner in owners:
            owner.fail(OSError(errno.EBADF, "not watched any more"))
