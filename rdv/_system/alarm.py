"""
A timer of the kernel's that a reactor watches as a descriptor. It rings by the monotonic clock,
however long the reactor means to sleep.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Alarm"]

log = Logger()


@implementer(IReadDescriptor)
class Alarm:
    """
    Rings once for each time that it is set. It has a descriptor, and is with the reactor, only
    until it is stopped.

    :param ring: called in a turn of the reactor.
    """

    def __init__(self, reactor: IReactorFDSet, ring: Callable[[], object]) -> None:
        self._reactor = reactor
        self._ring = ring
        self._fd = -1

    @classmethod
    def for_reactor(cls, reactor: Any, ring: Callable[[], object]) -> Alarm | None:
        """None where the kernel has no such timers or the reactor watches no descriptors."""
        if sys.platform == "linux" and IReactorFDSet.providedBy(reactor):
            return cls(reactor, ring)
        return None

    def set(self, seconds: float) -> None:
        """Ring so much later, and not when it was to ring before. Without a descriptor: never."""
        try:
            if self._fd < 0:
                self._fd = _create()
                self._reactor.addReader(self)
            _arm(self._fd, max(seconds, 0.001))
        except OSError as error:
            log.warn("no timer: {reason}", reason=str(error))

    def stop(self) -> None:
        """Ring no more."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            self._close()

    # What the reactor calls.

    def fileno(self) -> int:
        """See :class:`IFileDescriptor`."""
        return self._fd

    def doRead(self) -> None:
        """See :class:`IReadDescriptor`."""
        with suppress(BlockingIOError):  # it was set again in this turn
            os.read(self._fd, 8)
            self._ring()

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IFileDescriptor`: the reactor stops."""
        self._close()

    def logPrefix(self) -> str:
        """See :class:`ILoggingContext`."""
        return "alarm"

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


# Python has these since 3.13.


def _create() -> int:
    flags = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC
    return _checked(_libc().timerfd_create(time.CLOCK_MONOTONIC, flags))


def _arm(fd: int, seconds: float) -> None:
    whole, part = divmod(seconds, 1.0)
    once = struct.pack("@llll", 0, 0, int(whole), int(part * 1e9))
    _checked(_libc().timerfd_settime(fd, 0, once, None))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
