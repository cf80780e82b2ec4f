"""
A monotonic clock.

The clock of a Twisted reactor is the wall clock, which NTP or a resuming virtual machine may change
by hours. Every timeout follows: if the clock is set forward, it expires early; if back, it hangs.
rdv's own programs own their reactor and give it ``time.monotonic`` before anything is scheduled
(``use_monotonic_clock``), so that Twisted's own timeouts are correct too. The reactor of another
program must not be changed: that program's schedule would be wrong, and dates that it takes from
the reactor (as the access log of ``twisted.web`` does) would be of 1970. ``Client`` and
``Rendezvous``, through which every reactor enters, therefore use a ``MonotonicView`` of it: it
postpones calls that would be early, and for those that would be late an ``Alarm`` wakes the
reactor, with one descriptor for each reactor while anything is scheduled, or a server that knows of
it listens. A reactor with its own clock, such as a test's, is left as it is. Only ``--json`` and
logs have dates.

What this cannot fix: in an embedding program, Twisted times some things itself, such as how long an
HTTP request may take to arrive. The time in which a machine is suspended is not counted.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

from twisted.internet.base import DelayedCall, ReactorBase
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

__all__ = ["Alarm", "MonotonicView", "monotonic", "use_monotonic_clock"]

log = Logger()

T = TypeVar("T")

#: Seconds that the reactor may be late before it is woken.
_GRACE = 1.0


def use_monotonic_clock(reactor: Any) -> bool:
    """
    Let a reactor use the monotonic clock for everything, including Twisted's own timeouts. To be
    called by a program, not by a library, before anything is scheduled.

    ``reactor.seconds()`` is then no longer a date. Code that uses it as one needs another source;
    in Twisted, that is only the access log of a ``twisted.web.server.Site``.

    :return: whether it uses that clock now. False if something was already scheduled by the wall
        clock; nothing is changed then.
    """
    if _follows_wall_clock(reactor):
        if reactor.getDelayedCalls():
            return False
        reactor.seconds = time.monotonic
    return True


def monotonic(reactor: T) -> T:
    """
    The :class:`MonotonicView` of a reactor that must not be changed itself. A reactor that does not
    follow the wall clock, such as a test's, is returned as it is.
    """
    if not _follows_wall_clock(reactor):
        return reactor
    view = _views.get(id(reactor))
    if view is None:
        view = _views[id(reactor)] = MonotonicView(reactor)
    return cast(T, view)


def _follows_wall_clock(reactor: Any) -> bool:
    return getattr(reactor, "seconds", None) is ReactorBase.seconds


class MonotonicView:
    """
    A reactor with another clock. In all other respects it is the reactor.

    When the reactor's clock is set forward, its calls run early; calls made through this view are
    then postponed again. When it is set back, the reactor would sleep for that much longer; it is
    woken instead, at most a second late.

    :param reactor: has ``callLater``, and everything else that is called on the view.
    :param seconds: a clock that is never set.
    """

    def __init__(self, reactor: Any, seconds: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self._inner: dict[DelayedCall, IDelayedCall] = {}
        self._alarm = Alarm.for_reactor(reactor, self._ring)
        self._rings = math.inf
        self._keepers = 0
        self.seconds = seconds
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def callLater(
        self, delay: float, function: Callable[..., object], *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        if delay < 0:
            raise ValueError(f"a delay of {delay} s")
        due = self.seconds() + delay
        call = DelayedCall(due, function, args, kwargs, self._cancel, self._hasten, self.seconds)
        self._schedule(call)
        return call

    def keep_alarm(self) -> None:
        """
        Do not give the alarm's descriptor back when nothing is scheduled, until
        :meth:`release_alarm`: a server that is not busy would get a new one for each client.
        """
        self._keepers += 1

    def release_alarm(self) -> None:
        """End one :meth:`keep_alarm`."""
        self._keepers -= 1
        self._rest()

    def _schedule(self, call: DelayedCall) -> None:
        call.activate_delay()
        left = max(0.0, call.getTime() - self.seconds())
        self._inner[call] = self._reactor.callLater(left, self._fire, call)
        self._set_alarm(call.time)

    def _fire(self, call: DelayedCall) -> None:
        if call.getTime() > self.seconds():  # the clock was set, or the call delayed
            self._schedule(call)
            return
        del self._inner[call]
        call.called = 1
        function, args, kwargs = call.func, call.args, call.kw
        del call.func, call.args, call.kw  # may refer to the call: a cycle
        try:
            function(*args, **kwargs)
        finally:
            self._rest()

    def _cancel(self, call: DelayedCall) -> None:
        self._inner.pop(call).cancel()
        self._rest()

    def _hasten(self, call: DelayedCall) -> None:
        self._inner[call].cancel()
        self._schedule(call)

    def _set_alarm(self, due: float) -> None:
        if self._alarm is not None and due + _GRACE < self._rings:
            self._rings = due + _GRACE
            self._alarm.set(self._rings - self.seconds())

    def _ring(self) -> None:
        self._rings, now = math.inf, self.seconds()
        for call, inner in self._inner.items():
            if call.getTime() <= now:
                inner.reset(0)
        if self._inner:
            self._set_alarm(max(now, min(call.getTime() for call in self._inner)))
        else:
            self._rest()

    def _rest(self) -> None:
        if self._alarm is None or self._inner:
            return
        if not self._keepers or self._alarm.fileno() < 0:
            self._rings = math.inf
            self._alarm.stop()


#: The views in use, by the ID of their reactor. They keep it alive, so the ID stays valid.
_views: WeakValueDictionary[int, MonotonicView] = WeakValueDictionary()


@implementer(IReadDescriptor)
class Alarm:
    """
    A kernel timer on the monotonic clock. It wakes the reactor, which watches it as a descriptor,
    however long that would sleep. It rings once each time it is set, and has a descriptor from then
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
        """Ring after ``seconds``, not when set before; never if no descriptor is left for it."""
        try:
            if self._fd < 0:
                self._fd = _create()
                self._reactor.addReader(self)
            _arm(self._fd, max(seconds, 0.001))
        except OSError as error:
            log.warn("no timer: {reason}", reason=str(error))

    def stop(self) -> None:
        """Do not ring any more, and close the descriptor."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            self._close()

    # What the reactor calls.

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> None:
        with suppress(BlockingIOError):  # it was set again in this turn
            os.read(self._fd, 8)
            self._ring()

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IFileDescriptor`: the reactor stops."""
        self._close()

    def logPrefix(self) -> str:
        return "alarm"

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


# Python has these functions since 3.13.


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
