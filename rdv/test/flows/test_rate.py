"""So many bytes a second, by themselves and through a flow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.flow import Flow
from rdv._flows.rate import RateLimit
from rdv.test.doubles import HalfCloseRecorder, MemoryTransport, connect


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
