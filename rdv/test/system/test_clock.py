"""
A reactor whose clock is set while it runs, and a view whose clock cannot be set.
"""

from __future__ import annotations

import errno
import gc
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import directlyProvides

from rdv._system import clock as module
from rdv._system.clock import Alarm, MonotonicView, monotonic, use_monotonic_clock
from rdv.client import Client
from rdv.server import Rendezvous

REACTOR: Any = global_reactor


class WallReactor(MemoryReactor):
    """A reactor with Twisted's own clock, whose calls never happen."""

    seconds = staticmethod(ReactorBase.seconds)

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[object] = []

    def getDelayedCalls(self) -> list[object]:
        return self.calls


class HandAlarm:
    """An alarm without a kernel."""

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        self.clock, self.ring = clock, ring
        self.due = math.inf
        self.rung = 0

    def set(self, seconds: float) -> None:
        self.due = self.clock.seconds() + seconds

    def stop(self) -> None:
        self.due = math.inf

    def fileno(self) -> int:
        return -1 if self.due == math.inf else 3

    def look(self) -> None:
        """Ring, if it is time."""
        if self.due <= self.clock.seconds():
            self.due = math.inf
            self.rung += 1
            self.ring()


class ViewTests(SynchronousTestCase):
    """A view of a reactor whose wall clock the test sets."""

    def setUp(self) -> None:
        self.wall, self.steady = Clock(), Clock()
        self.view: Any = MonotonicView(self.wall, self.steady.seconds)
        self.alarm = HandAlarm(self.steady, self.view._ring)
        self.patch(self.view, "_alarm", self.alarm)
        self.made: list[object] = []

    def advance(self, seconds: float) -> None:
        """Time passes, an event of the alarm's comes, and then the calls that are due."""
        self.steady.advance(seconds)
        self.wall.advance(seconds)
        self.alarm.look()
        self.wall.advance(0)

    def assert_idle(self) -> None:
        self.assertEqual(self.wall.getDelayedCalls(), [])
        self.assertEqual(self.view._inner, {})
        self.assertEqual(self.alarm.due, math.inf)

    def test_in_time(self) -> None:
        call = self.view.callLater(4, lambda *args, **kw: self.made.append((args, kw)), 1, b=2)
        self.assertEqual(call.getTime(), 4)
        self.advance(3)
        self.assertTrue(call.active())
        self.assertEqual(self.made, [])
        self.advance(1)
        self.assertEqual(self.made, [((1,), {"b": 2})])
        self.assertFalse(call.active())
        self.assertRaises(AlreadyCalled, call.cancel)
        cancelled = self.view.callLater(1, self.made.append, "made")
        cancelled.cancel()
        self.assertRaises(AlreadyCancelled, cancelled.cancel)
        self.assert_idle()

    def test_set_back(self) -> None:
        """The alarm wakes the reactor, for all that are late, and once more for the next."""
        for delay in (5, 4, 10):
            self.view.callLater(delay, self.made.append, delay)
        self.wall.rightNow = -3600
        self.advance(4)
        self.assertEqual((self.made, self.alarm.rung), ([], 0))
        self.advance(1)
        self.assertEqual(sorted(self.made), [4, 5])
        for _ in range(5):
            self.advance(1)
        self.assertEqual(self.made[2:], [])
        self.advance(1)
        self.assertEqual((self.made[2:], self.alarm.rung), ([10], 3))
        self.assert_idle()

    def test_kept(self) -> None:
        """It stays as it is set between calls, and is given back at the end."""
        self.view.keep_alarm()
        self.view.keep_alarm()
        for delay in (5, 9):
            self.view.callLater(delay, self.made.append, delay).cancel()
            self.assertEqual(self.alarm.due, 6)
        self.view.callLater(30, self.made.append, 30)
        self.wall.rightNow = -3600
        for _ in range(31):
            self.advance(1)
        self.assertEqual((self.made, self.alarm.rung), ([30], 2))
        self.view.callLater(5, self.made.append, 5).cancel()
        self.view.release_alarm()
        self.assertEqual(self.alarm.due, 32)
        self.view.release_alarm()
        self.assert_idle()

    def test_punctual(self) -> None:
        """Nothing rings where the clock is right."""
        self.view.callLater(5, self.made.append, 5)
        self.view.callLater(7, self.made.append, 7).reset(9)
        for _ in range(9):
            self.advance(1)
        self.assertEqual((self.made, self.alarm.rung), ([5, 7], 1))  # at 6, to look for the next
        self.assert_idle()

    def test_reset(self) -> None:
        """Sooner and later."""
        sooner, later = (self.view.callLater(10, self.made.append, each) for each in (2, 20))
        sooner.reset(2)
        later.reset(20)
        self.advance(2)
        self.assertEqual(self.made, [2])
        self.advance(17)
        later.delay(3)
        self.advance(3)
        self.assertEqual(self.made, [2])
        later.delay(-1)
        self.assertEqual(self.made, [2])
        self.advance(0)
        self.assertEqual(self.made, [2, 20])
        self.assert_idle()

    def test_failure(self) -> None:
        """Whatever is called may fail; the reactor is told of it, as ever."""
        self.view.callLater(1, lambda: 1 / 0)
        self.assertRaises(ZeroDivisionError, self.advance, 1)
        self.assert_idle()
        self.assertRaises(ValueError, self.view.callLater, -1, self.made.append, 1)

    @given(
        st.lists(st.integers(0, 50), min_size=1),
        st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5000))),
    )
    def test_any(self, delays: list[int], steps: list[tuple[int, int]]) -> None:
        """However often it is set forward, each call comes once, and in its moment."""
        wall, steady = Clock(), Clock()
        view = MonotonicView(wall, steady.seconds)
        made: list[tuple[float, int]] = []
        for delay in delays:
            view.callLater(delay, lambda due: made.append((steady.seconds(), due)), delay)
        wall.advance(0)
        for passing, step in [*steps, *[(50, 0)]]:
            for _ in range(passing):
                steady.advance(1)
                wall.advance(1)
            wall.advance(step)
        self.assertEqual(made, [(due, due) for due in sorted(delays)])


class WhichTests(SynchronousTestCase):
    """Which reactors need another clock."""

    def test_reactor(self) -> None:
        """One of Twisted's: the view is that reactor but for its time."""
        view: Any = monotonic(REACTOR)
        self.assertIsInstance(view, MonotonicView)
        self.assertIs(view.seconds, time.monotonic)
        self.assertTrue(IReactorTime.providedBy(view))
        self.assertEqual(IReactorFDSet.providedBy(view), IReactorFDSet.providedBy(REACTOR))
        self.assertEqual(view.addReader, REACTOR.addReader)
        self.assertRaises(AttributeError, getattr, view, "no_such_name")
        self.assertIs(monotonic(view), view)

    def test_clocks(self) -> None:
        """The time of a test is the test's."""
        for clock in (Clock(), MemoryReactorClock(), object()):
            self.assertIs(monotonic(clock), clock)
            self.assertTrue(use_monotonic_clock(clock))

    def test_program(self) -> None:
        """A program's own reactor can do without a view, unless it is too late for that."""
        reactor: Any = WallReactor()
        reactor.calls.append("scheduled")
        self.assertFalse(use_monotonic_clock(reactor))
        self.assertIs(reactor.seconds, ReactorBase.seconds)
        reactor.calls.clear()
        self.assertTrue(use_monotonic_clock(reactor))
        self.assertIs(reactor.seconds, time.monotonic)
        self.assertIs(monotonic(reactor), reactor)

    def test_users(self) -> None:
        """Whoever is given a reactor."""
        for user in (Client(REACTOR), Rendezvous(REACTOR)):
            self.assertIs(user.clock.seconds, time.monotonic)
        clock: Any = MemoryReactorClock()
        for user in (Client(clock), Rendezvous(clock)):
            self.assertIs(user.clock, clock)


class AlarmTests(TestCase):
    """It rings, in hundredths of a second here."""

    if sys.platform != "linux":
        skip = "there are no such timers"

    def setUp(self) -> None:
        self.rung: Deferred[None] = Deferred()
        found = Alarm.for_reactor(REACTOR, lambda: self.rung.callback(None))
        assert found is not None
        self.alarm = found

    def assert_watched(self, count: int) -> None:
        """So many alarms are with the reactor."""
        self.assertEqual(sum(isinstance(each, Alarm) for each in REACTOR.getReaders()), count)

    def assert_nothing_left(self) -> None:
        self.assertEqual(self.alarm.fileno(), -1)
        self.assert_watched(0)

    async def test_rings(self) -> None:
        """Once; when it is set again, again; and the last time is what counts."""
        for times in ((0.01,), (60.0, 0.01), (0.0,)):
            self.rung = Deferred()
            for seconds in times:
                self.alarm.set(seconds)
            self.assert_watched(1)
            await self.rung
            self.alarm.doRead()  # a second one would fail in the Deferred
        self.alarm.stop()
        self.assert_nothing_left()
        self.alarm.stop()

    def test_lost(self) -> None:
        """With a reactor that stops."""
        self.alarm.set(60)
        REACTOR.removeReader(self.alarm)
        self.alarm.connectionLost(Failure(Exception()))
        self.assert_nothing_left()
        self.alarm.stop()

    def test_kept_without_a_descriptor(self) -> None:
        """The next call tries again."""
        view: Any = MonotonicView(REACTOR)
        view.keep_alarm()
        create = module._create
        self.patch(module, "_create", self.fail_to_create)
        view.callLater(60, lambda: None).cancel()
        self.assert_watched(0)
        self.patch(module, "_create", create)
        view.callLater(90, lambda: None).cancel()
        self.assert_watched(1)
        view.release_alarm()
        self.assert_nothing_left()

    def fail_to_create(self) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def test_no_descriptor(self) -> None:
        """There is a warning, and it does not ring; the kernel's errors are told as any."""
        self.patch(module, "_create", self.fail_to_create)
        self.alarm.set(0)
        self.assert_nothing_left()
        self.alarm.stop()
        error = self.assertRaises(OSError, module._arm, 1 << 20, 1.0)
        self.assertEqual(error.errno, errno.EBADF)

    def test_not_here(self) -> None:
        """With a reactor, or on a system, that cannot do it."""
        self.assertIsNone(Alarm.for_reactor(Clock(), lambda: None))
        there = Clock()
        directlyProvides(there, IReactorFDSet)
        self.assertIsNotNone(Alarm.for_reactor(there, lambda: None))
        self.patch(sys, "platform", "another")
        self.assertIsNone(Alarm.for_reactor(there, lambda: None))

    async def test_view(self) -> None:
        """A view has one while somebody waits, and what two users of one reactor have is one."""
        view = monotonic(REACTOR)
        self.assertIs(monotonic(REACTOR), view)
        for cancelled in (view.callLater(60, lambda: None), view.callLater(70, lambda: None)):
            self.assert_watched(1)
            cancelled.cancel()
        called: Deferred[None] = Deferred()
        view.callLater(0, called.callback, None)
        self.assert_watched(1)
        await called
        self.assert_watched(1)  # in the call itself
        view.callLater(0, (ended := Deferred[None]()).callback, None)
        view = None
        gc.collect()
        await ended
