"""A rate that several share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.rate import Limit, Limits, Quota, RateLimit
from rdv._flows.sharing import Share, SharedRate

RATE = 1_000_000


class Mover:
    """
    A flow that always has something to move, in pieces of one size.

    :ivar moved: bytes.
    :ivar paused: whether it has to wait.
    """

    def __init__(self, clock: Clock, limit: Limit, size: int, pause: float = 0.0) -> None:
        self._clock = clock
        self.limit = limit
        self._size = min(size, limit.piece)
        self._pause = pause
        self.moved = 0
        self.paused = False
        self.stopped = False
        self.late: list[float] = []
        self.move()

    def move(self) -> None:
        """What comes next."""
        if self.stopped:
            return
        self.moved += self._size
        self._since = self._clock.seconds()
        self.paused = self.limit.passed(self._size, self._go_on)
        if not self.paused:
            self._go_on()

    def _go_on(self) -> None:
        self.paused = False
        self.late.append(self._clock.seconds() - self._since)
        self._clock.callLater(self._pause, self.move)

    def stop(self) -> None:
        self.stopped = True
        self.limit.stop()


class SharedRateTests(SynchronousTestCase):
    """A million bytes a second, for some seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.rate = SharedRate(self.clock, RATE)
        self.movers: list[Mover] = []

    def mover(self, size: int, pause: float = 0.0, share: Share | None = None) -> Mover:
        """One more, with a share of its own if it is given none."""
        share = share or self.rate.share()
        self.movers.append(Mover(self.clock, share.limit(), size, pause))
        return self.movers[-1]

    def assert_moved(self, seconds: float, *movers: Mover, before: int = 0) -> None:
        """All of them together as much as the rate gives in that time."""
        moved = sum(each.moved for each in movers) - before
        self.assertTrue(abs(moved / RATE - seconds) < 0.15, (moved, seconds))

    def run_for(self, seconds: float) -> None:
        """Time passes, a millisecond at once."""
        for _ in range(round(seconds * 1000)):
            self.clock.advance(0.001)

    def tearDown(self) -> None:
        """Nothing is left."""
        for each in self.movers:
            each.stop()
        self.clock.advance(100)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_a_rate(self) -> None:
        for rate in (0.0, -1.0, float("nan")):
            self.assertRaises(ValueError, SharedRate, self.clock, rate)

    def test_one(self) -> None:
        """It gets everything."""
        mover = self.mover(10_000)
        self.run_for(5)
        self.assert_moved(5, mover)

    def test_below(self) -> None:
        """Nobody waits."""
        movers = [self.mover(1000, 0.01) for _ in range(9)]
        self.run_for(2)
        self.assertEqual([max(each.late) for each in movers], [0.0] * 9)

    def test_fair(self) -> None:
        """All get the same, however large their pieces are, and all of it is used."""
        movers = [self.mover(size) for size in (1000, 5000, 20_000, 20_000)]
        self.run_for(10)
        for each in movers:
            self.assert_moved(2.5, each)

    def test_another_rate(self) -> None:
        """It holds at once, also for those who wait by the one before."""
        self.rate.use(1000)
        movers = [self.mover(20_000) for _ in range(20)]
        self.run_for(1)
        before = sum(each.moved for each in movers)
        self.rate.use(RATE)
        self.run_for(2)
        self.assert_moved(2, *movers, before=before)
        self.rate.use(RATE / 10)
        before = sum(each.moved for each in movers)
        self.run_for(10)
        self.assert_moved(1, *movers, before=before)

    def test_directions_of_a_pair(self) -> None:
        """They have one share."""
        share = self.rate.share()
        both = [self.mover(5000, share=share) for _ in range(2)]
        other = self.mover(5000)
        self.run_for(10)
        self.assert_moved(5, *both)
        self.assert_moved(5, other)

    def test_one_that_wants_little(self) -> None:
        """It gets what it wants, hardly waits, and the others have the rest."""
        greedy = [self.mover(20_000) for _ in range(10)]
        self.run_for(2)
        begun = sum(each.moved for each in greedy)
        little = self.mover(100, 0.02)
        self.run_for(5)
        self.assertLess(max(little.late), 0.1)
        self.assertGreater(little.moved, 100 * 5 / 0.04)
        self.assert_moved(5, *greedy, before=begun)

    def test_newcomer(self) -> None:
        """It begins where the others are: it does not catch up, and has not to."""
        first = self.mover(10_000)
        self.run_for(5)
        before = first.moved
        second = self.mover(10_000)
        self.run_for(4)
        self.assert_moved(2, second)
        self.assert_moved(2, first, before=before)

    def test_leaves_while_it_waits(self) -> None:
        """The others go on; when nobody waits there is no timer."""
        movers = [self.mover(50_000) for _ in range(3)]
        self.run_for(1)
        for each in movers:
            self.assertTrue(any(mover.paused for mover in self.movers))
            each.stop()
            before = [mover.moved for mover in movers]
            self.run_for(1)
            for mover, moved in zip(movers, before, strict=True):
                self.assertEqual(mover.moved > moved, not mover.stopped)

    @given(
        st.lists(st.tuples(st.integers(1, 1 << 16), st.floats(0, 0.1)), min_size=1, max_size=8),
        st.floats(10_000, 1e8),
    )
    def test_any(self, kinds: list[tuple[int, float]], rate: float) -> None:
        """No more than the rate allows, but for a tenth of a second and a piece of each."""
        self.clock, self.movers = Clock(), []
        self.rate = SharedRate(self.clock, rate)
        for size, pause in kinds:
            self.mover(size, pause + 0.001)
        self.run_for(0.5)
        most = rate * (0.5 + 0.1 + 0.01) + 2 * self.rate.piece * len(kinds)
        self.assertLessEqual(sum(each.moved for each in self.movers), most)
        self.tearDown()


class LimitsTests(SynchronousTestCase):
    """Several limits of one flow."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.went_on = 0

    def go_on(self) -> None:
        self.went_on += 1

    def test_the_longest(self) -> None:
        """It pauses until all let it go on, once; and no longer than that."""
        limits = Limits([RateLimit(self.clock, 1000), RateLimit(self.clock, 2000)])
        self.assertEqual(limits.piece, RateLimit(self.clock, 1000).piece)
        self.assertFalse(limits.passed(100, self.go_on))
        self.assertTrue(limits.passed(1000, self.go_on))
        self.assertTrue(limits.passed(0, self.go_on))
        for seconds, times in ((0.6, 0), (0.3, 0), (0.2, 1), (10, 1)):
            self.clock.advance(seconds)
            self.assertEqual(self.went_on, times)
        self.assertFalse(limits.passed(100, self.go_on))

    def test_stop(self) -> None:
        """Nothing is left."""
        limits = Limits([RateLimit(self.clock, 1000), SharedRate(self.clock, 10).share().limit()])
        self.assertTrue(limits.passed(1000, self.go_on))
        limits.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.went_on), ([], 0))

    def test_quota(self) -> None:
        """All of it may come. With the next byte it is over, and nothing goes on."""
        quota = Quota(1000, self.go_on)
        self.assertEqual(quota.piece, 1001)
        self.assertFalse(quota.passed(900, self.fail))
        self.assertEqual(Limits([RateLimit(self.clock, 1e6), quota]).piece, 101)
        self.assertFalse(quota.passed(100, self.fail))
        self.assertEqual(quota.piece, 1)
        self.assertTrue(quota.passed(1, self.fail))
        self.assertTrue(quota.passed(1, self.fail))
        quota.stop()
        self.assertEqual(self.went_on, 1)
