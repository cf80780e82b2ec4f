"""
The pauses between the dials of an address that refuses.
"""

from __future__ import annotations

import math
from itertools import repeat
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.dial import pacing as pacings
from rdv.client.dial.pacing import Pacing
from rdv.client.dial.targets import OFTEN, SELDOM

SEEDS = st.integers(0, 1 << 32)
#: Seconds from a dial to its refusal.
TOOK = st.one_of(st.just(0.0), st.floats(0, 1e-4), st.floats(0, 5))


class Redial(NamedTuple):
    """
    :ivar at: when the refusal came, in seconds after the first dial.
    """

    at: float
    pause: float
    fast: bool


def refused(took: float, seed: int = 1, most: int = OFTEN) -> list[Redial]:
    """All redials, when each dial is refused after ``took`` seconds."""
    pacing = Pacing(Random(seed), most)
    found: list[Redial] = []
    now = 0.0
    for _ in repeat(None, 10_000):
        now += took
        pause = pacing.next_pause(took, now)
        if pause is None:
            return found
        found.append(Redial(now, pause, pacing.fast))
        now += pause
    raise AssertionError("it goes on for ever")


class PauseTests(SynchronousTestCase):
    """How long it waits."""

    def test_first_ones_are_made_at_once(self) -> None:
        """A peer that is a little late must be met."""
        for took in (0, 0.001, 0.3):
            self.assertEqual([each.pause for each in refused(took)[:3]], [0, 0, 0])

    def test_bursts(self) -> None:
        """A peer that is later than the first one meets another, at the full rate."""
        for took in (0, 0.001):
            redials = refused(took)
            for burst in range(pacings._BURSTS):
                start = burst * pacings._EVERY
                met = [
                    each for each in redials if each.fast and 0 <= each.at - start < pacings._EVERY
                ]
                self.assertEqual(len(met), pacings._BURST)
                self.assertLess(met[0].at - start, 0.005)

    def test_between_bursts(self) -> None:
        """It goes on, first soon and then later."""
        slow = [each.pause for each in refused(0) if not each.fast and each.at < pacings._EVERY]
        self.assertGreater(len(slow), 4)
        self.assertLess(slow[0], 0.01)
        self.assertGreater(max(slow), 2 * slow[0])

    def test_jitter(self) -> None:
        """Two sides that run in step come apart, again and again."""
        fast = [each.pause for each in refused(0.02) if each.fast]
        for start in range(0, len(fast) - 20, 20):
            self.assertTrue(any(fast[start : start + 20]))
        self.assertNotEqual(refused(0.02, 1), refused(0.02, 2))
        for took in (0, 0.02):
            behind = pacings._BURSTS * pacings._EVERY
            slow = [each.pause for each in refused(took) if each.at > behind and not each.fast]
            self.assertEqual(len(set(slow)), len(slow))

    def test_jitter_below_what_timers_can_do(self) -> None:
        """Some turns of the reactor."""
        for took in (0, 1e-4):
            pacing = Pacing(Random(1))
            turns = {pacing.turns(took) for _ in range(100)}
            self.assertGreater(len(turns), 2)
            self.assertLess(max(turns), 20)
            self.assertEqual(min(turns), 0)
            self.assertEqual({pacing.turns(0.02) for _ in range(100)}, {0})

    def test_decay(self) -> None:
        """Behind the bursts."""
        for took in (0.01, 0.1):
            slow = [each.pause for each in refused(took) if each.at > 1 and not each.fast]
            self.assertGreater(len(slow), 10)
            self.assertGreater(min(slow), 0.001)
            self.assertGreater(sum(slow[-5:]), 2 * sum(slow[:5]))
            self.assertLess(max(slow), 1)

    def test_fast_tells_of_the_next_one(self) -> None:
        pacing = Pacing(Random(1))
        self.assertTrue(pacing.fast)
        for _ in range(pacings._BURST):
            pacing.next_pause(0, 0)
            self.assertTrue(pacing.fast)
        pacing.next_pause(0, 0)
        self.assertFalse(pacing.fast)
        pacing.next_pause(0, pacings._EVERY)
        self.assertTrue(pacing.fast)


class NumberTests(SynchronousTestCase):
    """How many redials there are."""

    def test_as_many_as_a_path_without_delay_needs(self) -> None:
        """Measured: up to a hundred at the full rate."""
        redials = refused(0)
        self.assertGreaterEqual(len([each for each in redials if each.fast]), 100)
        self.assertFalse(redials[-1].fast)

    def test_no_more(self) -> None:
        for took in (0, 0.02):
            for most in (0, SELDOM, OFTEN):
                self.assertEqual(len(refused(took, most=most)), most)

    def test_none_stays_none(self) -> None:
        pacing = Pacing(Random(1), SELDOM)
        while pacing.next_pause(0, 0) is not None:
            pass
        for elapsed in (0, pacings._EVERY, 100):
            self.assertIsNone(pacing.next_pause(0, elapsed))

    @given(SEEDS, st.integers(0, OFTEN), st.lists(TOOK, max_size=300))
    def test_bounds(self, seed: int, most: int, took: list[float]) -> None:
        pacing = Pacing(Random(seed), most)
        made = 0
        now = waited = 0.0
        for each in took:
            now += each
            pause = pacing.next_pause(each, now)
            if pause is None:
                break
            made += 1
            now += pause
            waited += pause
            self.assertGreaterEqual(pause, 0)
            self.assertLessEqual(pause, max(0.25 * each, 0.005) if pacing.fast else 1)
        self.assertLessEqual(made, most)
        self.assertLess(waited - 0.25 * sum(took), 60)

    @given(SEEDS, st.floats(0, 2), st.integers(-9, 9))
    def test_pause_is_never_negative(self, seed: int, elapsed: float, step: int) -> None:
        """Nor just before the next burst, where floats are rounded."""
        number = round(elapsed / pacings._EVERY)
        moments = [elapsed, number * pacings._EVERY + step * math.ulp(number * pacings._EVERY)]
        for moment in moments:
            pacing = Pacing(Random(seed))
            for _ in range(pacings._BURST + 5):
                pause = pacing.next_pause(0, max(0.0, moment))
                self.assertGreaterEqual(-1 if pause is None else pause, 0)
