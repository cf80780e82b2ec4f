"""
Sockets that wake us only when a large piece has arrived.
"""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.kernel import splice
from rdv._flows.kernel.batching import Batching
from rdv.test.flows.kernel.doubles import Side, StreamTestCase
from rdv.test.flows.kernel.test_splice import FULL, SMALL

INTERVAL = 0.004


def low_water(sock: socket.socket) -> int:
    """How many bytes it waits for."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


class Member:
    """
    Counts.

    :ivar sweeps: how often it was swept.
    """

    def __init__(self) -> None:
        self.sweeps = 0

    def sweep(self) -> None:
        self.sweeps += 1


class BatchingTests(SynchronousTestCase):
    """``Batching``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.batching = Batching(self.clock)
        self.sock, other = socket.socketpair()
        self.addCleanup(self.sock.close)
        self.addCleanup(other.close)

    def test_begin_and_end(self) -> None:
        member = Member()
        self.batching.begin(member, self.sock)
        self.assertGreater(low_water(self.sock), 100_000)
        for count in (1, 2):
            self.clock.advance(INTERVAL)
            self.assertEqual(member.sweeps, count)
        self.batching.end(member, self.sock)
        self.assertEqual((low_water(self.sock), len(self.batching)), (1, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_timer(self) -> None:
        """While there is anybody."""
        members = [Member(), Member()]
        for member in members:
            self.batching.begin(member, self.sock)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.batching.forget(members[0])
        self.clock.advance(INTERVAL)
        self.assertEqual([member.sweeps for member in members], [0, 1])
        self.batching.forget(members[1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.batching.begin(members[0], self.sock)
        self.clock.advance(INTERVAL)
        self.assertEqual([member.sweeps for member in members], [1, 1])

    def test_forget(self) -> None:
        """The socket is left alone, since it may be closed."""
        member = Member()
        self.batching.begin(member, self.sock)
        self.sock.close()
        for leave in (self.batching.forget, lambda member: self.batching.end(member, self.sock)):
            leave(member)
        self.assertEqual(len(self.batching), 0)

    def test_leaving_during_a_sweep(self) -> None:
        """Itself, and others."""

        class Leaver(Member):
            def sweep(leaver) -> None:  # noqa: N805
                super().sweep()
                for member in members:
                    self.batching.forget(member)

        members = [Leaver(), Leaver(), Leaver()]
        for member in members:
            self.batching.begin(member, self.sock)
        self.clock.advance(INTERVAL)
        self.assertEqual([member.sweeps for member in members], [1, 0, 0])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BatchedSpliceTests(StreamTestCase):
    """A splice that has had a long run."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(splice, "_LONG_RUN", 100_000)
        self.begin(self.new_side())

    def begin(self, right: Side) -> None:
        """Have that run."""
        self.left, self.right = self.new_side(), right
        self.moving = self.splice(self.left, self.right)
        self.sent = self.got = 0
        self.send(FULL)
        self.get(FULL)
        self.send(200_000)
        self.get(200_000)
        self.settle()

    def sweep(self, times: int = 1) -> None:
        """Let the time of a sweep come."""
        step, self.reactor.step = self.reactor.step, 0
        for _ in range(times):
            self.reactor.advance(INTERVAL)
        self.reactor.step = step

    def assert_batched(self, batched: bool = True) -> None:
        """It is, or is not."""
        self.assertEqual(len(self.batching), int(batched))
        self.assertEqual(low_water(self.left.near) > 1, batched)

    def test_waits_for_more(self) -> None:
        """The kernel does not tell of a little."""
        self.assert_batched()
        self.send(1000)
        self.assertFalse(self.is_busy())
        self.send(600_000)
        self.get(601_000)
        self.assert_batched()

    def test_is_swept(self) -> None:
        """What has lain there for a whole interval is moved, and one who has little is let go."""
        self.sweep()
        self.send(1000)
        self.sweep()
        self.get(1000)
        self.assert_batched(False)
        self.send(1)
        self.until(lambda: self.moving.count == self.sent)
        self.get(1)

    def test_sender_waits_for_an_answer(self) -> None:
        """To one that sends a block and then waits, large or not, a sweep is too late."""
        self.send(2 * FULL)
        self.sweep(2)
        self.get(2 * FULL)
        self.assert_batched(False)
        self.send(100_000)  # it takes twice as much from now on
        self.get(100_000)
        self.assert_batched(False)

    def test_sweep_of_much(self) -> None:
        """It stays; of nothing, it does not."""
        self.sweep()
        self.send(FULL + 1000)
        self.sweep()
        self.get(FULL + 1000)
        self.assert_batched()
        self.sweep(2)
        self.assert_batched(False)

    def test_not_swept_while_it_moves(self) -> None:
        """Its events come by themselves."""
        for _ in range(3):
            self.sweep()
            self.assert_batched()
            self.send(600_000)
            self.get(600_000)

    def test_many_small_pieces(self) -> None:
        """Each of them swept up. The next run has to be as long again."""
        self.patch(splice, "_SWEPT", 0)
        self.sweep()
        for _ in range(8):
            self.assert_batched()
            self.send(10)
            self.sweep()
            self.get(10)
        self.assert_batched(False)
        self.send(FULL)
        self.get(FULL)
        self.send(50_000)
        self.get(50_000)
        self.assert_batched(False)
        self.send(200_000)
        self.get(200_000)
        self.assert_batched()

    def test_end(self) -> None:
        """Told at once, behind the bytes before it, or found by a sweep."""
        for swept in (False, True):
            self.moving.stop()
            self.begin(self.new_side())
            self.sweep(int(swept))
            self.send(1000 * (not swept))
            self.left.finish()
            self.sweep(int(swept))
            self.get(1000 * (not swept))
            self.until(lambda: self.left.ends)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_reset(self) -> None:
        """Likewise. Whoever is told closes the socket, and stops the splice."""

        def lost(error: OSError) -> None:
            self.left.error = error
            self.left.near.close()
            self.moving.stop()

        for swept in (False, True):
            self.moving.stop()
            self.begin(self.new_side())
            self.patch(self.left.end, "_lost", lost)
            self.sweep(int(swept))
            self.left.reset()
            self.sweep(int(swept))
            self.until(lambda: self.left.error)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stalled(self) -> None:
        """Nothing more is read while something is held, sweep or not; then everything comes."""
        self.moving.stop()
        self.begin(self.new_side(SMALL))
        self.send(600_000)
        self.until(lambda: self.pipes.taken)
        self.settle()
        count = self.moving.count
        self.sweep(5)
        self.assertEqual((self.moving.count, self.pipes.taken), (count, 1))
        while self.got < self.sent:
            self.get(min(self.moving.count - self.got, 100_000))
            self.settle()
            self.sweep()
        self.sweep(2)
        self.assert_batched(False)
