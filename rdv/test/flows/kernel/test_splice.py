"""One direction between two sockets: by a buffer and by a pipe."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

from rdv._flows.kernel import epoll
from rdv.test.flows.kernel.doubles import NOISE, SpliceTestCase, StreamTestCase

#: What is read into the buffer at once.
FULL = 1 << 16
SMALL = 4096


class MovingTests(SpliceTestCase):
    """Bytes from the left to the right."""

    def setUp(self) -> None:
        super().setUp()
        self.left, self.right = self.new_side(), self.new_side()
        self.moving = self.splice(self.left, self.right)

    def move(self, size: int) -> None:
        """Send so much, all at once, and see it come."""
        count = self.moving.count
        self.left.send(NOISE[:size])
        self.assertEqual(self.receive(self.right, size), NOISE[:size])
        self.settle()
        self.assertEqual(self.moving.count, count + size)
        self.assertEqual(self.pipes.taken, 0)

    def test_messages(self) -> None:
        """They need no pipe."""
        for size in (1, 2, 1000, FULL - 1):
            self.move(size)
        self.assertEqual(self.pipes.takes, 0)

    def test_bulk(self) -> None:
        """Who fills the buffer gets one from then on."""
        self.move(FULL)
        self.assertEqual(self.pipes.takes, 0)
        self.move(1)
        self.assertEqual(self.pipes.takes, 1)
        for size in (FULL - 1, FULL + 1, 400_000, 1_000_000):
            self.move(size)

    def test_messages_after_bulk(self) -> None:
        """Seven small pieces may still be bulk. Eight in a row are messages."""
        self.move(FULL)
        for size in [1] * 7 + [1 << 13] + [(1 << 13) - 1] * 8:
            self.move(size)
        self.assertEqual(self.pipes.takes, 16)
        for _ in range(3):
            self.move(1)
        self.assertEqual(self.pipes.takes, 16)
        self.move(FULL)
        self.move(1)
        self.assertEqual(self.pipes.takes, 17)

    def test_end(self) -> None:
        """Told once, in either way of moving; then nothing is watched for."""
        for sizes in ((1,), (1, FULL, 1)):  # the third is a splice
            self.moving.stop()
            self.left, self.right = self.new_side(), self.new_side()
            self.moving = self.splice(self.left, self.right)
            for size in sizes:
                self.move(size)
                self.assertEqual(self.left.ends, 0)
            self.left.finish()
            self.until(lambda: self.left.ends)
            self.settle()
            self.assertEqual((self.left.ends, self.left.error), (1, None))
            self.assertFalse(self.is_busy())

    def test_time_of_the_last_byte(self) -> None:
        for size in (1, FULL, 1, 1):
            before = self.reactor.seconds()
            self.move(size)
            self.assertTrue(before < self.moving.active < self.reactor.seconds())

    def test_counts_what_came_before(self) -> None:
        back = self.splice(self.right, self.left, count=10)
        self.right.send(b"abc")
        self.receive(self.left, 3)
        self.assertEqual((back.count, self.moving.count), (13, 0))

    def test_reset_of_the_source(self) -> None:
        for bulk in (False, True):
            left, right = self.new_side(), self.new_side()
            self.splice(left, right)
            if bulk:
                left.send(NOISE[:FULL])
                self.receive(right, FULL)
            left.reset()
            while left.error is None:
                self.step()
            self.settle()
            self.assertEqual(getattr(left.error, "errno", None), errno.ECONNRESET)
            self.assertEqual((right.error, left.ends), (None, 0))

    def test_urgent_byte(self) -> None:
        """A splice does not get past it. It is no end, and nothing is left lying behind it."""
        for ends in (0, 1):
            left, right = self.new_side(), self.new_side()
            moving = self.splice(left, right)
            left.send(NOISE[:FULL])
            self.receive(right, FULL)
            left.far.send(b"!", socket.MSG_OOB)
            left.far.sendall(NOISE[:5000])
            if ends:
                left.finish()
            self.assertEqual(self.receive(right, 5000), NOISE[:5000])
            while left.ends < ends:
                self.step()
            self.settle()
            self.assertEqual((moving.count, left.ends, left.error), (FULL + 5000, ends, None))
            moving.stop()

    def test_slow_reader_is_no_silence(self) -> None:
        """What is written from a pipe counts as much as what comes."""
        left, right = self.new_side(), self.new_side(4096)
        moving = self.splice(left, right)
        left.send(NOISE[:FULL])
        self.receive(right, FULL)
        left.send(NOISE[: 4 * FULL])
        self.settle()
        last = moving.active
        self.receive(right, FULL)
        self.settle()
        self.assertGreater(moving.active, last)
        moving.stop()

    def test_no_pipe(self) -> None:
        """Nor a descriptor for one: then it is copied, until there is one again."""

        def no_pipe(flags: int) -> tuple[int, int]:
            raise OSError(errno.EMFILE, "too many")

        patch = self.patch(os, "pipe2", no_pipe)
        self.move(FULL)
        self.move(1_000_000)
        self.assertGreater(self.pipes.takes, 0)
        patch.restore()
        before = self.pipes.takes
        self.move(1_000_000)
        self.assertGreater(self.pipes.takes, before)


class ManyTests(SpliceTestCase):
    """Flows that all have much to move."""

    def test_share(self) -> None:
        """Together they move so much in a turn, and none more than its part."""
        self.patch(epoll, "_BYTES", 300_000)
        pairs = [(self.new_side(), self.new_side()) for _ in range(3)]
        flows = [self.splice(left, right) for left, right in pairs]
        for left, _ in pairs:
            left.send(NOISE[:400_000])
        counts = [0, 0, 0]
        for most in (1 << 16, 100_000, 100_000):  # into the buffer first
            self.step()
            moved = [flow.count - before for flow, before in zip(flows, counts, strict=True)]
            self.assertTrue(all(0 < each <= most for each in moved), moved)
            counts = [flow.count for flow in flows]
        for _, right in pairs:
            self.receive(right, 400_000)

    def test_alone(self) -> None:
        """It need not share."""
        left, right = self.new_side(), self.new_side()
        flow = self.splice(left, right)
        left.send(NOISE[:600_000])
        self.step()
        self.step()
        self.assertGreater(flow.count, (1 << 16) + 100_000)
        self.receive(right, 600_000)


class StalledTests(StreamTestCase):
    """The right side does not read."""

    def setUp(self) -> None:
        super().setUp()
        self.renew()

    def renew(self) -> None:
        """Two new sides."""
        self.left, self.right = self.new_side(), self.new_side(SMALL)
        self.moving = self.splice(self.left, self.right)
        self.sent = self.got = self.pipes.takes = 0

    def get_all(self) -> None:
        """What is left. Then nothing is held."""
        self.get(self.sent - self.got)
        self.settle()
        self.assertEqual((self.moving.count, self.pipes.taken), (self.sent, 0))

    def stall(self, bulk: bool) -> None:
        """Send until something is held, in a pipe or in a buffer."""
        takes = self.pipes.takes
        if bulk and not takes:
            self.send(FULL)
            self.get_all()
        self.send(500_000 if bulk else FULL - 1)
        self.settle()
        self.assertEqual(self.pipes.taken, int(bulk))
        if not bulk:
            self.assertEqual(self.pipes.takes, takes)
        held = self.moving.count
        self.send(1000)
        self.settle()
        self.assertEqual(self.moving.count, held)

    def both_ways(self) -> Iterator[None]:
        """Stalled with a buffer, then with a pipe."""
        for bulk in (False, True):
            self.renew()
            self.stall(bulk)
            yield
            self.moving.stop()
            self.assertEqual(self.pipes.taken, 0)

    def test_again_and_again(self) -> None:
        """What has been held once does not come twice."""
        for bulk in (False, True):
            self.renew()
            for _ in range(3):
                self.stall(bulk)
                self.get_all()

    def test_bit_by_bit(self) -> None:
        """Each time there is room for a part of what is held."""
        for _ in self.both_ways():
            while self.got < self.sent:
                self.get(min(1000, self.sent - self.got))
                self.settle()

    def test_other_direction(self) -> None:
        """It is free."""
        for _ in self.both_ways():
            back = self.splice(self.right, self.left)
            data = NOISE[:200_000]
            self.assertEqual(self.transfer(self.right, data, self.left, len(data)), data)
            back.stop()

    def test_end(self) -> None:
        """
        It comes behind what is held. If both have ended that is a hang-up, which the kernel would
        tell for ever, though there is still what to read.
        """
        for both in (False, True):
            for _ in self.both_ways():
                self.left.finish()
                if both:
                    self.left.near.shutdown(socket.SHUT_WR)
                self.settle()
                self.assertEqual((self.left.ends, self.left.error), (0, None))
                self.get_all()
                self.until(lambda: self.left.ends)

    def test_reset_of_the_sink(self) -> None:
        """Nobody wants what is held."""
        for _ in self.both_ways():
            self.right.reset()
            self.until(lambda: self.right.error)
            self.settle()
            self.assertIsNone(self.left.error)

    def test_reset_of_the_source(self) -> None:
        """It is told though the source is not read."""
        for _ in self.both_ways():
            self.left.reset()
            self.until(lambda: self.left.error)
            self.settle()
            self.assertEqual((self.left.ends, self.right.error), (0, None))

    def test_stop(self) -> None:
        """What is held is forgotten, and nothing is watched for."""
        for _ in self.both_ways():
            self.moving.stop()
            self.moving.stop()
            held = self.moving.count
            self.left.send(b"x")
            self.assertFalse(self.is_busy())
            self.assertEqual((self.moving.count, self.pipes.taken), (held, 0))
