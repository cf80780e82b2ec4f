"""
Tests of :mod:`rdv._transport.secured`: a stream continues on another path.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost

from rdv._secure.path import Signal
from rdv._transport import paths as paths_module
from rdv._transport.path_end import FirstPathLost
from rdv._transport.secured import SecureTransport
from rdv.test.doubles import (
    Recorder,
    connect,
)
from rdv.test.secure.doubles import joining
from rdv.test.transport.secured_case import DIRECT, LARGE, MovingTestCase


class MoveTests(MovingTestCase):
    """Moves without failures."""

    def test_idle(self) -> None:
        """A silent stream moves, and leaves nothing on the first path."""
        self.settle()
        self.assertTrue(self.acceptor.can_move and self.dialer.can_move)
        self.move()
        self.assert_left()
        self.assertFalse(self.acceptor.can_move or self.dialer.can_move)
        self.assertEqual(self.acceptor.getPeer(), DIRECT)
        self.assert_whole()

    def test_carriers(self) -> None:
        """A path that joins is none before it has taken over, nor the first one when it is left."""
        self.settle()
        self.assertEqual(self.dialer.carriers(), [self.below_dialer])
        self.acceptor.pauseProducing()
        self.dialer.write(LARGE)
        self.join()
        self.assertEqual(self.dialer.carriers(), [self.below_dialer])
        self.settle()
        self.assertEqual(self.dialer.carriers(), [self.below_dialer, self.joined_dialer])
        self.acceptor.resumeProducing()
        self.settle()
        self.assertEqual(self.dialer.carriers(), [self.joined_dialer])

    def test_bytes(self) -> None:
        """What was written before comes before, and what behind, behind, both ways."""
        self.settle()
        for side in (self.acceptor, self.dialer):
            side.write(LARGE)
        ends = self.join()
        for side in (self.acceptor, self.dialer):
            side.write(b"while it moves")
        self.settle()
        for end in ends:
            self.successResultOf(end.proven)
        for side in (self.acceptor, self.dialer):
            side.write(b"behind")
        self.settle()
        for recorder in (self.ours, self.theirs):
            self.assertTrue(recorder.received == LARGE + b"while it moves" + b"behind")
        self.assert_left()
        self.assert_whole()

    def test_half_close(self) -> None:
        """Each end goes where its direction is: before the move, in its middle and behind it."""
        for when in range(3):
            for first in range(2):
                self.secure()
                self.settle()
                sides = (self.acceptor, self.dialer)
                heard = (self.theirs, self.ours)
                if when == 0:
                    sides[first].loseWriteConnection()
                    self.settle()
                self.join()
                if when == 1:
                    sides[first].loseWriteConnection()
                self.settle()
                if when == 2:
                    sides[first].loseWriteConnection()
                self.settle()
                self.assertEqual(heard[first].read_ended, 1)
                sides[1 - first].write(b"goes on")
                self.settle()
                self.assertEqual(heard[1 - first].received, b"goes on")
                self.assert_left()
                self.assert_whole()

    def test_end_on_its_way(self) -> None:
        """Both directions end while the other path is made: it is of no use any more."""
        self.settle()
        ends = self.join()
        for side in (self.acceptor, self.dialer):
            side.write(b"last")
            side.loseWriteConnection()
        self.settle()
        self.assertEqual((self.ours.received, self.theirs.received), (b"last", b"last"))
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)
        for end in ends:
            self.assertTrue(end.proven.called)
            end.proven.addErrback(lambda _: None)
        self.assertFalse(self.joined_acceptor.connected or self.joined_dialer.connected)

    def test_paused(self) -> None:
        """Who does not read finds everything in its order, and nothing beyond that is held."""
        self.settle()
        for side in (self.acceptor, self.dialer):
            side.pauseProducing()
            side.write(LARGE)
        self.join()
        self.settle()
        for side in (self.acceptor, self.dialer):
            side.write(LARGE)
        self.settle()
        self.assertEqual((self.ours.received, self.theirs.received), (b"", b""))
        self.assertTrue(self.joined_acceptor.paused and self.joined_dialer.paused)
        self.assertTrue(self.below_acceptor.paused and self.below_dialer.paused)
        for side in (self.acceptor, self.dialer):
            side.resumeProducing()
        self.settle()
        self.assertTrue(self.ours.received == LARGE * 2 and self.theirs.received == LARGE * 2)
        self.assert_left()
        self.assert_whole()

    def test_stalled(self) -> None:
        """What the peer has not read may be with a server, which keeps it for who is there."""
        self.settle()
        self.acceptor.pauseProducing()
        self.dialer.write(b"before")
        self.move()
        self.dialer.write(b" and behind")
        self.settle()
        self.assertTrue(self.below_dialer.connected)
        self.acceptor.resumeProducing()
        self.settle()
        self.assertEqual(self.ours.received, b"before and behind")
        self.assert_left()
        self.assert_whole()

    def test_early(self) -> None:
        """What came on a path before it was handed over, up to its loss in the same turn."""
        for lost in (False, True):
            self.secure()
            self.settle()
            acceptor, dialer = joining(self.acceptor.path, self.dialer.path)
            early = b"".join([*dialer.say(Signal.HERE), *dialer.seal(b"behind")])
            end = self.acceptor.join(acceptor, early)
            wire = Recorder()
            at_acceptor, _ = connect(self.clock, end, wire)
            self.dialer.first.say(Signal.MOVE)
            if lost:
                at_acceptor.lose(ConnectionLost())
            self.settle()
            self.assertTrue(end.proven.called)
            self.assertEqual(self.ours.received, b"" if lost else b"behind")
            self.assertEqual(self.ours.lost is not None, lost)

    def test_first_path_lost(self) -> None:
        """
        Nobody takes the loss of what was being left for one of the peer; of the first path
        alone, or of the other one, it is a loss as any other.
        """
        for joined, lost, told in (
            (True, "below_dialer", FirstPathLost),
            (True, "joined_dialer", ConnectionLost),
            (False, "below_dialer", ConnectionLost),
        ):
            self.secure()
            self.settle()
            self.dialer.pauseProducing()  # MOVE is not read, and so the first path stays
            if joined:
                self.move()
            getattr(self, lost).lose(ConnectionLost())
            assert self.theirs.lost is not None
            self.assertIs(self.theirs.lost.type, told)

    def test_linger(self) -> None:
        """Whether an end of the process breaks the stream holds for both paths."""
        for enabled in (False, True):
            self.secure()
            below: Any = self.below_dialer.getHandle()
            self.dialer.break_on_exit(enabled)
            self.move()
            joined: Any = self.joined_dialer.getHandle()
            for sock, resets in ((below, False), (joined, enabled)):
                option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER)
                self.assertEqual(struct.unpack("ii", option), (resets, 0))

    def test_exit_while_it_moves(self) -> None:
        """The same, said while both paths are in use."""
        self.settle()
        self.dialer.pauseProducing()  # MOVE is not read, and so the first path stays
        self.move()
        self.assertTrue(self.below_dialer.connected)
        for enabled in (True, False):
            self.dialer.break_on_exit(enabled)
            for path in (self.below_dialer, self.joined_dialer):
                self.assertEqual(path._shouldShutdown, not enabled)

    def test_unsent(self) -> None:
        """
        The system takes little in advance while the stream may leave the path, and no longer.
        """
        limits: list[tuple[object, int]] = []
        self.patch(paths_module, "limit_unsent", lambda end, size: limits.append((end, size)))
        for how in ("move", "stay", "loseConnection"):
            limits.clear()
            self.secure()
            self.settle()
            first = self.dialer.first
            self.assertEqual(limits, [])
            self.dialer.expect_move()
            (self.move if how == "move" else getattr(self.dialer, how))()
            self.assertEqual(limits, [(first, 1 << 17), (first, 0)])
            self.dialer.expect_move()
            self.assertEqual(len(limits), 3 if how == "stay" else 2)


class Producer:
    """
    Writes whenever it may.

    :ivar calls: what it was told, in order.
    """

    def __init__(self, side: SecureTransport) -> None:
        self.side = side
        self.calls: list[str] = []
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data
        self.side.write(data)

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        if len(self.calls) < 4:
            self.write(LARGE)

    def stopProducing(self) -> None:
        self.calls.append("stop")


class ProducerTests(MovingTestCase):
    """A producer of the stream continues on the new path."""

    def begin(self, *, streaming: bool) -> Producer:
        """It has filled the first path, the other side of which reads nothing."""
        self.secure()
        self.settle()
        self.acceptor.pauseProducing()
        producer = Producer(self.dialer)
        self.dialer.registerProducer(producer, streaming)
        if streaming:
            producer.write(LARGE)
        return producer

    def end(self, producer: Producer) -> None:
        """All arrives, behind its last word."""
        self.acceptor.resumeProducing()
        self.settle()
        self.dialer.loseConnection()
        producer.write(b"last")
        self.assertIsNone(self.below_dialer.producer)
        self.dialer.unregisterProducer()
        self.settle()
        self.assertTrue(self.ours.received == producer.written)
        self.assertEqual(self.ours.read_ended, 1)
        self.assertIsNone(self.joined_dialer.producer)

    def test_waits(self) -> None:
        """One that waited for the first path does not any more, and waits for the other one."""
        producer = self.begin(streaming=True)
        self.assertEqual(producer.calls, ["pause"])
        self.move()
        self.assertEqual(producer.calls, ["pause", "resume", "pause"])
        self.end(producer)
        self.assertEqual(producer.calls, ["pause", "resume", "pause", "resume"])

    def test_does_not_wait(self) -> None:
        """One that did not wait is not told."""
        self.settle()
        producer = Producer(self.dialer)
        self.dialer.registerProducer(producer, True)
        self.move()
        self.assertEqual(producer.calls, [])
        self.end(producer)

    def test_pulled(self) -> None:
        """A pull producer is asked for more."""
        producer = self.begin(streaming=False)
        self.assertEqual(producer.calls, ["resume"])
        self.move()
        self.assertEqual(producer.calls, ["resume"] * 2)
        self.end(producer)

    def test_writes_in_the_middle(self) -> None:
        """What it writes when it may go on comes behind MOVE."""
        producer = self.begin(streaming=True)
        self.move()
        self.acceptor.resumeProducing()
        self.settle()
        self.assertTrue(self.ours.received == LARGE * 2)
        self.assert_left()
        self.end(producer)

    def test_path_is_lost(self) -> None:
        """It is told to stop, at whichever path it is."""
        for moved in (False, True):
            producer = self.begin(streaming=True)
            if moved:
                self.move()
            (self.joined_dialer if moved else self.below_dialer).lose(ConnectionLost())
            self.assertEqual(producer.calls[-1], "stop")


class WatchTests(MovingTestCase):
    """Paths whose other side may vanish."""

    def test_watched(self) -> None:
        """Each that joins is looked at until it is gone; the first one is its user's affair."""
        watched: list[object] = []

        def unwatch(clock: object, end: object) -> None:
            if end in watched:
                watched.remove(end)

        self.patch(paths_module, "watch", lambda clock, end: watched.append(end))
        self.patch(paths_module, "unwatch", unwatch)
        self.secure()
        self.settle()
        given_up = self.dialer.join(joining(self.acceptor.path, self.dialer.path)[1])
        connect(self.clock, Recorder(), given_up)
        self.assertEqual(watched, [given_up])
        given_up.proven.cancel()
        self.failureResultOf(given_up.proven, CancelledError)
        self.assertEqual(watched, [])
        self.move()
        self.assertEqual(len(watched), 2)
        self.assert_whole()
        self.assertEqual(watched, [])
