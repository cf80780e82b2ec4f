"""
Limits of a rate, by themselves and in flows.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.flow import Flow
from rdv._flows.rate import Quota, RateLimit
from rdv.test.doubles import HalfCloseRecorder, MemoryTransport, connect
from rdv.test.flows.kernel.doubles import NOISE, SpliceTestCase
from rdv.test.flows.kernel.test_splice import SMALL


class RateLimitTests(SynchronousTestCase):
    """A thousand bytes a second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.limit = RateLimit(self.clock, 1000)

    def test_pause(self) -> None:
        """
        By so much it was too early, but for a tenth of a second; what comes during a pause makes
        the pause longer, and what does not come cannot be saved up.
        """
        for waited, size, pause in (
            (0, 100, 0),
            (0, 1, 0.001),
            (100, 600, 0.5),
            (0, 100, 0.6),
            (0.6, 100, 0.1),
            (100, 100, 0),
            (0, 100, 0.1),
        ):
            self.clock.advance(waited)
            self.assertAlmostEqual(self.limit.pause(size), pause)

    def test_not_a_rate(self) -> None:
        for rate in (0.0, -1.0, float("nan")):
            self.assertRaises(ValueError, RateLimit, self.clock, rate)

    @given(
        rate=st.floats(1, 1e9),
        pieces=st.lists(st.tuples(st.integers(1, 1 << 16), st.floats(0, 100)), max_size=50),
    )
    def test_average(self, rate: float, pieces: list[tuple[int, float]]) -> None:
        """Over any time from the beginning, for one who keeps to the pauses."""
        clock = Clock()
        limit = RateLimit(clock, rate)
        sent = 0
        for size, idle in pieces:
            # Before this piece, as much as the time allows.
            self.assertLessEqual(sent, rate * (clock.seconds() + 0.1) * (1 + 1e-9) + 1e-6)
            sent += size
            clock.advance(limit.pause(size) + idle)


class LimitedFlowTests(SynchronousTestCase):
    """A copying flow with a limit of a thousand bytes a second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.receiver = HalfCloseRecorder()
        self.source, self.at_sender = connect(self.clock, HalfCloseRecorder(), HalfCloseRecorder())
        self.sink, self.at_receiver = connect(self.clock, HalfCloseRecorder(), self.receiver)
        self.flow = Flow(self.source, self.sink, None, RateLimit(self.clock, 1000))

    def write(self, size: int) -> None:
        """The source has received so much."""
        self.flow.write(bytes(size))
        self.clock.advance(0)

    def assert_paused(self, *times: tuple[float, bool]) -> None:
        """So much later, the source is, or is not."""
        for seconds, paused in times:
            self.clock.advance(seconds)
            self.assertEqual(self.source.paused, paused, seconds)

    def test_below(self) -> None:
        self.write(100)
        self.assert_paused((0, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_above(self) -> None:
        """The source is paused, and what has come goes out."""
        self.write(1100)
        self.assertEqual(len(self.receiver.received), 1100)
        self.assert_paused((0, True), (0.9, True), (0.2, False))

    def test_still_read_while_paused(self) -> None:
        """The longer pause counts, and there is one timer."""
        self.write(600)
        self.write(500)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assert_paused((0.6, True), (0.3, True), (0.2, False))

    def stall(self) -> None:
        """Let the receiver not read."""
        self.at_receiver.pauseProducing()
        self.write(MemoryTransport.limit + 1)
        self.assertTrue(self.source.paused)

    def test_pause_ends_while_the_sink_is_full(self) -> None:
        self.stall()
        self.assert_paused((100, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.at_receiver.resumeProducing()
        self.assert_paused((0, False))

    def test_room_before_the_pause_ends(self) -> None:
        self.stall()
        self.at_receiver.resumeProducing()
        self.assert_paused((0, True), (60, True), (10, False))

    def test_end(self) -> None:
        """Nothing is left of the pause, and the source is not touched again."""
        for end in (Flow.end, Flow.detach):
            self.setUp()
            self.write(5000)
            end(self.flow)
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_loss_of_the_sink(self) -> None:
        """It stops the source; nothing is left of the pause."""
        self.write(5000)
        self.at_receiver.abortConnection()
        self.clock.advance(0)
        self.assertTrue(self.source.disconnecting or not self.source.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LimitedCase(SpliceTestCase):
    """What the kernel moves, with a limit."""

    rate = 600_000

    def setUp(self) -> None:
        super().setUp()
        self.reactor.step = 0
        self.left, self.right = self.new_side(), self.new_side(SMALL)
        self.limit = RateLimit(self.reactor, self.rate)
        self.moving = self.splice(self.left, self.right, self.limit)
        self.got = 0

    def send(self, size: int) -> None:
        """Send, and let happen what happens."""
        self.left.send(NOISE[:size])
        self.settle()

    def get(self) -> None:
        """Read what has been moved."""
        size = self.moving.count - self.got
        self.receive(self.right, size)
        self.got += size

    def wait(self, seconds: float) -> None:
        """Let time pass, and happen what happens."""
        self.reactor.advance(seconds)
        self.settle()


class SlowSpliceTests(LimitedCase):
    """Ten thousand bytes a second."""

    rate = 10_000

    def test_rests_after_each_piece(self) -> None:
        """For the time that it was too early, but for a tenth of a second."""
        self.send(2000)
        for count in (2000, 3000, 4000):
            self.send(1000)
            self.assertFalse(self.is_busy())
            self.wait(0.05)
            self.assertEqual(self.moving.count, count)
            self.wait(0.06)
            self.assertEqual(self.moving.count, count + 1000)

    def test_small_pieces(self) -> None:
        """Not all that there is at once, and then nothing for a long time."""
        self.send(60_000)
        self.assertEqual(self.moving.count, 1 << 12)
        self.wait(0.4)
        self.assertEqual(self.moving.count, 1 << 13)


class FastSpliceTests(LimitedCase):
    """A million bytes a second."""

    rate = 1_000_000

    def test_pipe(self) -> None:
        """Pieces are large enough for one, and it rests then, too, but is not swept up."""
        self.send(200_000)
        while self.moving.count < 200_000:
            self.get()
            self.wait(1)
        self.get()
        self.assertGreater(self.pipes.takes, 0)
        self.left.send(NOISE[:700_000])
        while self.moving.count < 900_000:
            before = self.moving.count
            self.get()
            self.settle()
            if self.moving.count == before:
                self.moving.sweep()
                self.assertEqual(self.moving.count, before)
                self.wait(1)
        self.get()


class LimitedSpliceTests(LimitedCase):
    """A rate at which the pieces are just too small for pipes."""

    def test_no_pipe(self) -> None:
        """However much comes."""
        self.send(200_000)
        while self.moving.count < 200_000:
            self.get()
            self.wait(10)
        self.get()
        self.assertEqual(self.pipes.takes, 0)

    def test_rest_ends_while_something_is_held(self) -> None:
        """Nothing more is read before that is gone."""
        self.send(200_000)
        held = self.moving.count
        for _ in range(2):
            self.wait(10)
            self.assertEqual(self.moving.count, held)
        self.get()
        self.settle()
        self.assertGreater(self.moving.count, held)

    def test_room_before_the_rest_ends(self) -> None:
        """Nothing more is read before it has ended."""
        self.send(200_000)
        self.get()
        self.settle()
        held = self.moving.count
        self.get()
        self.settle()
        self.assertEqual(self.moving.count, held)
        self.assertFalse(self.is_busy())
        self.wait(10)
        self.assertGreater(self.moving.count, held)

    def test_loss_of_the_sink(self) -> None:
        """While it rests, and something is held."""
        self.send(200_000)
        self.right.reset()
        self.until(lambda: self.right.error)
        self.moving.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_reset_of_the_source(self) -> None:
        """It is told while it rests."""
        self.send(2000)
        self.left.reset()
        self.until(lambda: self.left.error)


class QuotaSpliceTests(LimitedCase):
    """100,000 bytes, and no more."""

    def setUp(self) -> None:
        super().setUp()
        self.moving.stop()
        self.over: list[int] = []
        self.left, self.right = self.new_side(), self.new_side()
        self.quota = Quota(100_000, lambda: self.over.append(self.moving.count))
        self.moving = self.splice(self.left, self.right, self.quota)

    def test_over(self) -> None:
        """It is noticed with the first byte too many, however much comes at once."""
        for size, over in ((66_000, []), (34_000, []), (90_000, [100_001])):
            self.left.send(NOISE[:size])
            self.until(lambda: not self.is_busy())
            self.get()
            self.assertEqual(self.over, over)

    def test_used_by_the_other_direction(self) -> None:
        """There is one for both."""
        self.quota.passed(99_990, self.fail)
        self.left.send(NOISE[:90_000])
        self.until(lambda: not self.is_busy())
        self.get()
        self.assertEqual(self.over, [11])
