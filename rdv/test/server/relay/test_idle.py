"""Idle times of relayed pairs, with one timer for those that begin."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.joint import Joint
from rdv.server.relay.idle import IdleTimes, IdleWatch


class IdleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.times = IdleTimes(cast(Any, self.clock))
        self.cut: list[tuple[str, float]] = []

    def begin(self, name: str, timeout: float = 60) -> tuple[Any, IdleWatch]:
        """A joint that begins now, and its watch."""

        class Moved:
            active = self.clock.seconds()

        joint = Moved()
        watch = IdleWatch(
            self.times,
            cast(Joint, joint),
            timeout,
            lambda: self.cut.append((name, self.clock.seconds())),
        )
        return joint, watch

    def test_silent(self) -> None:
        """Each when its own time is over, with one timer for all."""
        for name in "abc":
            self.begin(name)
            self.clock.advance(1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1] * 99)
        self.assertEqual(self.cut, [("a", 60), ("b", 61), ("c", 62)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_active(self) -> None:
        """Its time begins with the latest byte, at the first look and at the later ones."""
        joint, _ = self.begin("a")
        self.begin("b")
        joint.active = 7.25
        self.clock.advance(60)
        self.assertEqual(self.cut, [("b", 60)])
        joint.active = 61.5
        self.clock.pump([0.25] * 400)
        self.assertEqual(self.cut, [("b", 60), ("a", 121.5)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """Before the first look, behind it, and more than once; nothing is left of it."""
        self.begin("a")[1].stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        joint, watch = self.begin("b")
        joint.active = 30
        self.clock.advance(60)
        for _ in range(2):
            watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(999)
        self.assertEqual(self.cut, [])

    def test_less_than_no_time(self) -> None:
        """Nobody keeps a hook from setting that: the pair is cut in the next turn."""
        self.begin("a", -1)
        self.clock.advance(0)
        self.assertEqual(self.cut, [("a", 0)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_times(self) -> None:
        """A hook may set another one for each pair. Few are kept, and all hold."""
        for number in range(1, 101):
            self.begin(str(number), number)
        self.begin("again", 1.5)
        self.clock.pump([0.5] * 300)
        wanted = [(str(number), number) for number in range(1, 101)]
        self.assertEqual(self.cut, [wanted[0], ("again", 1.5), *wanted[1:]])
        self.assertEqual(self.clock.getDelayedCalls(), [])
