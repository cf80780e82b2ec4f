"""
Tests of :mod:`rdv._transport.secured`: which paths join a stream, and what the loss of one means.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from rdv._secure.handshake import Cipher
from rdv._secure.path import SecurePath, Signal
from rdv._transport.secured import PeerNotProven
from rdv.test.doubles import (
    Recorder,
    connect,
    present,
)
from rdv.test.secure.doubles import JOINING, SESSION, joining
from rdv.test.transport.secured_case import MovingTestCase
from rdv.wire import Role


class JoinTests(MovingTestCase):
    """Which paths may join."""

    def test_cannot(self) -> None:
        """Not both can move; the peer is not known to be there; another one is about to join."""
        _, dialer = joining(self.acceptor.path, self.dialer.path)
        self.assertRaises(RuntimeError, self.dialer.join, dialer)
        self.settle()
        self.dialer.join(dialer)
        self.assertRaises(RuntimeError, self.dialer.join, dialer)
        self.moves = False
        self.secure()
        self.settle()
        self.assertFalse(self.dialer.can_move or self.acceptor.can_move)
        self.assertRaises(RuntimeError, self.dialer.join, dialer)

    def test_too_many(self) -> None:
        """Another holder of the secret who has learnt the session cannot have any number."""
        self.settle()
        acceptor, _ = joining(self.acceptor.path, self.dialer.path)
        waiting = [self.acceptor.join(acceptor).proven for _ in range(16)]
        self.assertRaises(RuntimeError, self.acceptor.join, acceptor)
        self.acceptor.abortConnection()
        for each in waiting:
            self.failureResultOf(each, ConnectionLost)

    def test_given_up(self) -> None:
        """A dialer leaves one that does not get on for the next one; an acceptor only waits."""
        self.settle()
        ours, theirs = self.join()
        below = self.joined_acceptor
        below.pauseProducing()
        theirs.proven.cancel()
        self.failureResultOf(theirs.proven, CancelledError)
        self.settle()
        self.failureResultOf(ours.proven, ConnectionLost)
        self.assertIsNone(self.ours.lost or self.theirs.lost)
        ours, _ = self.join()
        ours.proven.cancel()
        self.failureResultOf(ours.proven, CancelledError)
        self.settle()
        self.assert_left()
        self.assert_whole()

    def test_never_connected(self) -> None:
        """One that was never handed over leaves nothing behind."""
        self.settle()
        acceptor, dialer = joining(self.acceptor.path, self.dialer.path)
        given_up = self.dialer.join(dialer)
        given_up.proven.cancel()
        self.failureResultOf(given_up.proven, CancelledError)
        forgotten = self.acceptor.join(acceptor)
        self.move()
        self.failureResultOf(forgotten.proven, ConnectionLost)
        self.assert_whole()

    def test_first_of_several(self) -> None:
        """An acceptor takes that on which HERE comes first, and aborts the others."""
        self.settle()
        other, _ = joining(self.acceptor.path, self.dialer.path)
        idle = self.acceptor.join(other)
        below, _ = connect(self.clock, idle, Recorder())
        self.settle()
        self.assertNoResult(idle.proven)
        self.move()
        self.failureResultOf(idle.proven, ConnectionLost)
        self.assertTrue(below.aborted)
        self.assert_whole()

    def test_not_proven(self) -> None:
        """
        Somebody else on the path: another holder of the secret knows no key of the stream, and who
        is on the way none at all. The path is closed, and nothing else.
        """
        for number in range(2):
            self.secure()
            self.settle()
            role, signal = ((Role.DIALER, Signal.HERE), (Role.ACCEPTOR, Signal.READY))[number]
            another = SESSION._replace(join_key=bytes(32))
            stream = SecurePath(role, another, Cipher.AES_256_GCM, moves=True)
            holder = SecurePath(role, JOINING, Cipher.AES_256_GCM, moves=True, first=stream)
            for said in (b"forged", b"".join(holder.say(signal))):
                path = joining(self.acceptor.path, self.dialer.path)[number]
                end = (self.acceptor, self.dialer)[number].join(path)
                below, other = connect(self.clock, end, Recorder())
                other.write(said)
                self.settle()
                self.failureResultOf(end.proven, PeerNotProven)
                self.assertFalse(below.connected)
            self.assertIsNone(self.ours.lost or self.theirs.lost)
            self.move()
            self.assert_whole()

    def test_lost_before(self) -> None:
        """A path that is lost before it takes over changes nothing."""
        self.settle()
        ends = self.join()
        self.joined_dialer.lose(ConnectionLost())
        self.settle()
        for end in ends:
            self.failureResultOf(end.proven, ConnectionLost)
        self.dialer.write(b"goes on")
        self.settle()
        self.assertEqual(self.ours.received, b"goes on")
        self.assertTrue(self.dialer.can_move and self.acceptor.can_move)
        self.move()
        self.assert_whole()

    def _joins(self, reason: Failure, path: SecurePath) -> object:
        return self.dialer.join(path)

    def test_joins_again(self) -> None:
        """Whoever tries the next path when one is given up cannot join a stream that is over."""
        for how in ("abortConnection", "loseConnection", "cut"):
            self.secure()
            self.settle()
            ends = self.join()
            ends[0].proven.addErrback(lambda _: None)
            errors: list[Failure] = []
            path = joining(self.acceptor.path, self.dialer.path)[1]
            again: Deferred[object] = ends[1].proven.addErrback(self._joins, path)
            again.addErrback(errors.append)
            if how == "cut":
                self.below_dialer.lose(ConnectionLost())
            else:
                getattr(self.dialer, how)()
            self.settle()
            self.assertEqual([error.type for error in errors], [RuntimeError])
            self.acceptor.loseConnection()
            self.settle()
            self.assertTrue(self.ours.lost and self.theirs.lost)
            self.assertFalse(self.joined_acceptor.connected or self.joined_dialer.connected)

    def test_on_over(self) -> None:
        """It is told once that no path is of any use any more, and not if one has taken over."""
        for how in ("loseConnection", "abortConnection", "cut", "both end"):
            self.secure()
            self.settle()
            told: list[object] = []
            for side in (self.acceptor, self.dialer):
                side.on_over = partial(told.append, side)
            ends = self.join()
            if how == "cut":
                self.below_dialer.lose(ConnectionLost())
                self.assertEqual(told, [self.dialer])
            elif how == "both end":
                self.dialer.loseWriteConnection()
                self.settle()
                self.acceptor.loseWriteConnection()
            else:
                getattr(self.dialer, how)()
                self.assertEqual(told, [self.dialer])
            self.settle()
            self.acceptor.abortConnection()
            self.settle()
            self.assertFalse(self.dialer.can_move or self.acceptor.can_move)
            if how != "both end":
                self.assertEqual(set(told), {self.acceptor, self.dialer})
            self.assertEqual(len(told), len(set(told)))
            for end in ends:
                self.assertTrue(end.proven.called)
                end.proven.addErrback(lambda _: None)
        self.secure()
        self.dialer.on_over = lambda: self.fail("it has moved")
        self.move()
        self.assert_whole()


class LossTests(MovingTestCase):
    """What the end of a path means."""

    def both_broken(self) -> None:
        self.settle()
        for recorder in (self.ours, self.theirs):
            self.assertTrue(present(recorder.lost).check(ConnectionLost))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_first_path(self) -> None:
        """It may end when all on it was said and read, and not before."""
        self.settle()
        self.acceptor.pauseProducing()
        self.dialer.write(b"x")
        self.move()
        self.assertTrue(self.below_dialer.connected)
        self.below_acceptor.lose(ConnectionLost())
        self.both_broken()

    def test_path_that_has_taken_over(self) -> None:
        self.move()
        self.joined_dialer.lose(ConnectionLost())
        self.both_broken()

    def test_moved_to_nowhere(self) -> None:
        """MOVE comes when the path that was meant is lost."""
        self.settle()
        self.below_acceptor.pauseProducing()
        ends = self.join()
        self.joined_acceptor.pauseProducing()
        self.settle()
        self.successResultOf(ends[1].proven)
        self.joined_acceptor.lose(ConnectionLost())
        self.failureResultOf(ends[0].proven, ConnectionLost)
        self.assertIsNone(self.ours.lost)
        self.below_acceptor.resumeProducing()
        self.both_broken()

    def test_aborted_while_it_moves(self) -> None:
        """Both paths are."""
        self.settle()
        self.acceptor.pauseProducing()
        self.move()
        self.dialer.abortConnection()
        self.assertTrue(self.joined_dialer.aborted and self.below_dialer.aborted)
        self.assertIsNone(self.theirs.lost)
        self.acceptor.resumeProducing()
        self.both_broken()

    def test_forged(self) -> None:
        """On either path."""
        for which in range(2):
            self.secure()
            self.settle()
            self.acceptor.pauseProducing()
            ends = self.join()
            if which == 1:
                self.settle()
            (self.dialer.first, ends[1])[which].dataReceived(b"forged")
            self.assertEqual(self.dialer.connected, False)
            for end in ends:
                end.proven.addErrback(lambda _: None)
            self.acceptor.resumeProducing()
            self.both_broken()


class MemoryTests(MovingTestCase):
    """What is held for an application that reads nothing."""

    def test_one_read(self) -> None:
        """Nothing of the path that has taken over but what came in one read, with HERE."""
        self.settle()
        self.acceptor.pauseProducing()
        self.dialer.pauseProducing()  # what it says comes from the test
        acceptor, dialer = joining(self.acceptor.path, self.dialer.path)
        end = self.acceptor.join(acceptor)
        wire = Recorder()
        below, other = connect(self.clock, end, wire)
        self.settle()
        other.write(b"".join([*dialer.say(Signal.HERE), *dialer.seal(bytes(4 << 20))]))
        self.settle()
        self.successResultOf(end.proven)
        self.assertTrue(below.paused)
        self.assertGreater(other.buffered, 3 << 20)
        self.dialer.first.say(Signal.MOVE)
        self.settle()
        self.assertGreater(other.buffered, 3 << 20)
        self.acceptor.resumeProducing()
        self.settle()
        self.assertEqual(len(self.ours.received), 4 << 20)
