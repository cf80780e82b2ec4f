"""Copying one direction between two transports."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.flow import Flow
from rdv.test.doubles import HalfCloseRecorder, MemoryTransport, connect


class FlowTests(SynchronousTestCase):
    """From one client through us to another."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sender, self.receiver = HalfCloseRecorder(), HalfCloseRecorder()
        self.source, self.at_sender = connect(self.clock, HalfCloseRecorder(), self.sender)
        self.sink, self.at_receiver = connect(self.clock, HalfCloseRecorder(), self.receiver)
        self.tapped: list[bytes] = []
        self.flow = Flow(self.source, self.sink, self.tapped.append)

    def test_moves_and_counts(self) -> None:
        self.flow.write(b"one")
        self.flow.write(b"three")
        self.clock.advance(0)
        self.assertEqual(self.receiver.received, b"onethree")
        self.assertEqual((self.flow.count, self.flow.ended), (8, False))
        self.assertEqual(self.tapped, [b"one", b"three"])

    def test_tap_sees_each_piece_first(self) -> None:
        """If there is one."""
        seen: list[tuple[bytes, list[bytes]]] = []
        sink, _ = connect(self.clock, HalfCloseRecorder(), HalfCloseRecorder())
        flow = Flow(self.source, sink, lambda data: seen.append((data, list(sink.writes))))
        flow.write(b"a")
        flow.tap = None
        flow.write(b"b")
        self.assertEqual((seen, sink.writes), ([(b"a", [])], [b"a", b"b"]))

    def test_back_pressure(self) -> None:
        """A receiver that does not read stops the source, and reading sets it going again."""
        self.at_receiver.pauseProducing()
        sent = 0
        while not self.source.paused:
            self.flow.write(b"x" * 4096)
            sent += 4096
            self.assertLess(sent, 1 << 20)
        self.assertLessEqual(self.sink.buffered, MemoryTransport.limit + 4096)
        self.at_receiver.resumeProducing()
        self.clock.advance(0)
        self.assertFalse(self.source.paused)
        self.assertEqual(len(self.receiver.received), sent)

    def test_end_comes_behind_the_data(self) -> None:
        self.at_receiver.pauseProducing()
        self.flow.write(b"last words")
        self.flow.end()
        self.assertTrue(self.flow.ended)
        self.clock.advance(0)
        self.assertEqual(self.receiver.read_ended, 0)
        self.at_receiver.resumeProducing()
        self.clock.advance(0)
        self.assertEqual((self.receiver.received, self.receiver.read_ended), (b"last words", 1))

    def test_end_is_half_a_close(self) -> None:
        """It lets go of the source, to which it does not matter any more what the sink does."""
        self.flow.end()
        self.flow.end()
        self.assertIsNone(self.sink.producer)
        self.clock.advance(0)
        self.at_receiver.write(b"answer")
        self.clock.advance(0)
        self.assertEqual((self.receiver.read_ended, self.receiver.lost), (1, None))
        self.assertEqual(self.sink.protocol.received, b"answer")  # type: ignore[attr-defined]
        self.at_receiver.abortConnection()
        self.clock.advance(0)
        self.assertFalse(self.source.disconnecting)

    def test_detach_ends_nothing(self) -> None:
        self.flow.detach()
        self.clock.advance(0)
        self.assertTrue(self.flow.ended)
        self.assertIsNone(self.sink.producer)
        self.assertEqual(self.receiver.read_ended, 0)
        self.flow.end()
        self.clock.advance(0)
        self.assertEqual(self.receiver.read_ended, 0)

    def test_loss_of_the_sink_stops_the_source(self) -> None:
        self.at_receiver.abortConnection()
        self.clock.advance(0)
        self.assertTrue(self.source.disconnecting)
