"""The kernel's timer under a real reactor."""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import directlyProvides

from rdv._system import clock as module
from rdv._system.clock import Alarm, monotonic

REACTOR: Any = global_reactor


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

    def test_no_descriptor(self) -> None:
        """There is a warning, and it does not ring."""

        def fail() -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(module, "_create", fail)
        self.alarm.set(0)
        self.assert_nothing_left()
        self.alarm.stop()

    def test_refused_by_the_kernel(self) -> None:
        """As any call of the system."""
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
