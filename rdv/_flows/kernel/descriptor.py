"""
A descriptor that is read from and written to, and the events that it waits for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from rdv._flows.kernel.epoll import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, Handler, Watcher

__all__ = ["AlwaysWritable", "Descriptor", "Reader", "Writer"]

_BROKEN = EPOLLERR | EPOLLHUP
_READABLE = EPOLLIN | _BROKEN


class Reader(Protocol):
    """Reads from a descriptor."""

    def readable(self, events: int = EPOLLIN) -> None:
        """The descriptor has bytes, their end, or an error; a read shows which."""


class Writer(Protocol):
    """Writes to a descriptor."""

    def writable(self) -> None:
        """The descriptor has room again."""


def _read_into(fd: int, buffer: bytearray | memoryview) -> int:
    return os.readv(fd, (buffer,))


class Descriptor:
    """
    A descriptor that is the source of one direction, the sink of another, or both.

    :param file: non-blocking; no other code reads or writes it from now on. It belongs to the
        caller, which calls :meth:`forget` before closing it.
    :param lost: called when reading or writing has failed, with the error; nothing is watched any
        more.
    :ivar fd: its number.
    :ivar read_into: reads into a buffer and returns the number of bytes.
    :ivar write: writes as many bytes as there is room for and returns their number.
    :ivar socket: the socket that it is; None for another kind of file.
    :param directions: how many directions use it; each calls :meth:`leave` when it has ended.
    """

    read_into: Callable[[bytearray | memoryview], int]
    write: Callable[[bytes | memoryview], int]

    __slots__ = (
        "_directions",
        "_events",
        "_gone",
        "_lost",
        "_watched",
        "_watcher",
        "fd",
        "read_into",
        "reader",
        "socket",
        "write",
        "writer",
    )

    def __init__(
        self,
        watcher: Watcher,
        file: socket.socket | int,
        lost: Callable[[OSError], object],
        directions: int = 2,
    ) -> None:
        self._watcher = watcher
        self.socket = None if isinstance(file, int) else file
        if isinstance(file, int):
            self.fd = file
            self.read_into = partial(_read_into, file)
            self.write = partial(os.write, file)
        else:
            self.fd = file.fileno()
            self.read_into = file.recv_into
            self.write = file.send
        self._lost = lost
        self._events = 0
        self._watched = False
        self._gone = False
        self._directions = directions
        self.reader: Reader | None = None
        self.writer: Writer | None = None

    def want(self, events: int, wanted: bool = True) -> None:
        """Start or stop watching for ``events``."""
        now = self._events | events if wanted else self._events & ~events
        if self._gone or (self._watched and now == self._events):
            return
        self._events = now
        handler: Handler = self._happened
        if now == EPOLLIN and self.reader is not None:
            handler = self.reader.readable  # the usual case; saves a call
        if self._watched:
            self._watcher.change(self.fd, now, handler)
        elif wanted:
            self._watcher.watch(self.fd, now, handler, self)
            self._watched = True

    def unread(self) -> int:
        """How many bytes could be read now."""
        try:
            return int.from_bytes(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        except OSError:
            return 0

    def forget(self) -> None:
        """Stop watching, for good."""
        self._gone = True
        self._sleep()

    def _sleep(self) -> None:
        if self._watched:
            self._watched = False
            self._watcher.forget(self.fd)

    def leave(self) -> None:
        """One direction has ended. After the last one, nothing is watched."""
        self._directions -= 1
        if not self._directions:
            self.forget()

    def fail(self, error: OSError) -> None:
        """Reading, writing or watching has failed (:class:`rdv._flows.kernel.epoll.Owner`)."""
        self.forget()
        self._lost(error)

    def _happened(self, events: int) -> None:
        if events & EPOLLOUT and self.writer is not None:
            self.writer.writable()
        if self._events & EPOLLIN:
            if events & _READABLE and self.reader is not None:
                self.reader.readable()
        elif events & _BROKEN and self._watched:
            self._look_at_error(events)

    def _look_at_error(self, events: int) -> None:
        if events & EPOLLERR:
            error = _error_of(self.fd)
            self.fail(OSError(error, os.strerror(error)))
        elif not self._events & EPOLLOUT:
            # Both directions of the connection have ended, but what is unread has to wait for the
            # other leg. A level-triggered epoll would report the hang-up forever.
            self._sleep()


class AlwaysWritable(Descriptor):
    """
    A file or a device as a sink. It is always writable, and epoll does not accept it: data that
    could not be written is tried again in the next turn of the reactor.
    """

    _call: IDelayedCall | None = None

    def want(self, events: int, wanted: bool = True) -> None:
        if events & EPOLLOUT:
            self._cancel()
            if wanted and not self._gone:
                self._soon()

    def forget(self) -> None:
        super().forget()
        self._cancel()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _soon(self) -> None:
        self._call = self._watcher.reactor.callLater(0, self._writable)

    def _writable(self) -> None:
        self._soon()  # again and again, until ``want`` cancels it
        if self.writer is not None:
            self.writer.writable()


def _error_of(fd: int) -> int:
    """
    The pending error of a socket or a pipe. To be called only after an error event, and if nothing
    will be read any more: the query clears the error, and an ICMP error that TCP survives would be
    mistaken for a failure.
    """
    try:
        sock = socket.socket(fileno=fd)
    except OSError:  # a pipe whose readers are gone
        return errno.EPIPE
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EIO
    finally:
        sock.detach()
