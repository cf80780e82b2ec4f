"""
Two connections joined, in memory.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from rdv._flows.kernel import takeover
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
from rdv.forwarding.forward import Forward
from rdv.test.doubles import HalfCloseRecorder, ends
from rdv.wire import Role

CONFIRM = b"rdv/1 CONFIRM token\r\n"
HELLO = b"rdv/1 HELLO token\r\n"


class ForwardTestCase(SynchronousTestCase):
    """
    A local program and a peer, both of which record what they get.

    :ivar local, peer: these two.
    :ivar at_local, at_peer: their ends of the two connections.
    :ivar near: our end of the local connection.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.forward = Forward(self.clock)
        self.local, self.peer = HalfCloseRecorder(), HalfCloseRecorder()
        self.near, self.at_local = ends(self.clock)
        self.far, self.at_peer = ends(self.clock)
        for transport, protocol in ((self.at_local, self.local), (self.at_peer, self.peer)):
            transport.protocol = protocol
            protocol.makeConnection(transport)
        # The peer's connection has been through the handshake.
        candidate = Candidate(self.clock, Role.ACCEPTOR, b"token")
        self.far.protocol = candidate
        candidate.makeConnection(self.far)
        self.at_peer.write(CONFIRM)
        self.settle()
        self.assertEqual(self.peer.received, HELLO)
        self.peer.pieces.clear()
        self.connection = Connection(candidate, None, Headers())

    def near_comes(self) -> None:
        """The local connection stands."""
        self.near.protocol = self.forward.near
        self.forward.near.makeConnection(self.near)

    def far_comes(self) -> None:
        """So does that to the peer."""
        self.connection.attach(self.forward.far)

    def both_come(self) -> None:
        """Both."""
        self.near_comes()
        self.far_comes()

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(20):
            self.clock.advance(0)

    def assert_reset(self, recorder: HalfCloseRecorder) -> None:
        """It has seen a break, and no end before that."""
        assert recorder.lost is not None
        self.assertTrue(recorder.lost.check(ConnectionLost), recorder.lost)
        self.assertEqual(recorder.read_ended, 0)

    def assert_done(self, broken: str | None) -> None:
        """It is over, and how."""
        self.successResultOf(self.forward.done)
        self.assertEqual(self.forward.broken, broken)
        self.assertEqual((self.near.connected, self.far.connected), (False, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BeginningTests(ForwardTestCase):
    """Before both are established."""

    def test_local_is_not_read(self) -> None:
        """Until the peer is there."""
        self.near_comes()
        self.at_local.write(b"early")
        self.settle()
        self.assertTrue(self.near.paused)
        self.assertEqual(self.at_local.buffered, 5)
        self.far_comes()
        self.settle()
        self.assertEqual(self.peer.received, b"early")

    def test_peer_is_not_read(self) -> None:
        """Until the local connection stands."""
        self.far_comes()
        self.at_peer.write(b"early")
        self.settle()
        self.assertTrue(self.far.paused)
        self.assertEqual(self.at_peer.buffered, 5)
        self.near_comes()
        self.settle()
        self.assertEqual(self.local.received, b"early")

    def test_lost_alone(self) -> None:
        """Nobody else has to be told."""
        self.near_comes()
        self.near.lose(ConnectionLost())
        self.successResultOf(self.forward.done)
        self.assertEqual(self.forward.broken, "the local side broke the connection")

    def test_comes_too_late(self) -> None:
        """One that comes when the other one has gone already is reset."""
        self.near_comes()
        self.near.lose(ConnectionLost())
        self.far_comes()
        self.settle()
        self.assert_reset(self.peer)

    def test_aborted_before(self) -> None:
        """One that comes after that is reset."""
        self.forward.abort("no reason")
        self.near_comes()
        self.settle()
        self.assert_reset(self.local)

    def test_aborted_before_the_kernel_takes_over(self) -> None:
        """It is not asked to any more."""
        splicer: Any = object()
        self.forward = Forward(self.clock, splicer)
        self.patch(self.forward, "_take_over", self.fail)
        self.far_comes()
        self.near_comes()
        self.forward.near.dataReceived(b"more")
        self.forward.abort("interrupted")
        self.settle()
        self.assert_done("interrupted")

    def meet_with_splicer(self, splicer: Any) -> None:
        """Two that the kernel could join."""
        self.patch(takeover, "is_plain", lambda transport: True)
        self.forward = Forward(self.clock, splicer)
        self.far_comes()
        self.near_comes()

    def test_held_when_the_kernel_takes_over(self) -> None:
        """It is delivered before."""
        self.meet_with_splicer(Mock(take_over=lambda there, back: (there, back)))
        self.connection.pauseProducing()
        self.far.protocol.dataReceived(b"held")
        self.forward.near.dataReceived(b"more")
        self.settle()
        self.assertEqual(self.local.received, b"held")

    def test_both_end_before_the_kernel_takes_over(self) -> None:
        """There is nothing to take over."""
        self.meet_with_splicer(Mock(take_over=self.fail))
        self.forward.near.dataReceived(b"more")
        for leg in (self.forward.near, self.forward.far):
            leg.readConnectionLost()
        self.forward._take_over()  # before the written data has been sent
        self.settle()
        self.assert_done(None)


class MovingTests(ForwardTestCase):
    """Bytes, and their end."""

    def setUp(self) -> None:
        super().setUp()
        self.both_come()

    def test_both_ways(self) -> None:
        """And they are counted."""
        self.at_local.write(b"one")
        self.at_peer.write(b"three")
        self.settle()
        self.assertEqual((self.peer.received, self.local.received), (b"one", b"three"))
        self.assertEqual((self.forward.sent, self.forward.received), (3, 5))

    def check_half_close(self, early: HalfCloseRecorder, late: HalfCloseRecorder) -> None:
        """One ends, and the other one may go on."""
        at_early, at_late = (
            (self.at_local, self.at_peer) if early is self.local else (self.at_peer, self.at_local)
        )
        at_early.write(b"question")
        at_early.loseWriteConnection()
        self.settle()
        self.assertEqual((late.received, late.read_ended), (b"question", 1))
        self.assertEqual((early.read_ended, early.lost), (0, None))
        at_late.write(b"answer")
        at_late.loseWriteConnection()
        self.settle()
        self.assertEqual((early.received, early.read_ended), (b"answer", 1))
        for transport in (at_early, at_late):
            transport.loseConnection()
        self.settle()
        self.assertTrue(early.lost_cleanly and late.lost_cleanly)
        self.assert_done(None)

    def test_local_ends_first(self) -> None:
        """The peer goes on."""
        self.check_half_close(self.local, self.peer)

    def test_peer_ends_first(self) -> None:
        """The local program goes on."""
        self.check_half_close(self.peer, self.local)

    def test_end_behind_slow_reader(self) -> None:
        """Both have ended; a connection is closed when everything has left, and not before."""
        self.at_peer.pauseProducing()
        self.at_local.write(b"x" * 1000)
        self.at_local.loseWriteConnection()
        self.at_peer.loseWriteConnection()
        self.settle()
        self.assertEqual((self.local.read_ended, self.near.connected), (1, False))
        self.assertEqual((self.peer.received, self.far.connected), (b"", True))
        self.assertFalse(self.forward.done.called)
        self.at_peer.resumeProducing()
        self.settle()
        self.assertEqual((len(self.peer.received), self.peer.read_ended), (1000, 1))
        self.assert_done(None)


class BreakingTests(ForwardTestCase):
    """A loss is passed on as one."""

    def setUp(self) -> None:
        super().setUp()
        self.both_come()
        self.at_local.write(b"there")
        self.at_peer.write(b"back")
        self.settle()

    def test_local_lost(self) -> None:
        """The peer sees a reset."""
        self.at_local.abortConnection()
        self.settle()
        self.assert_reset(self.peer)
        self.assert_done(self.forward.broken)
        self.assertEqual(self.forward.broken, "the local side broke the connection")

    def test_peer_lost(self) -> None:
        """The local program sees one."""
        self.at_peer.abortConnection()
        self.settle()
        self.assert_reset(self.local)
        self.assert_done(self.forward.broken)

    def test_lost_while_the_other_one_is_being_closed(self) -> None:
        """That one has ended both ways: it gets what it has still to get, and no break."""
        close = self.near.loseConnection
        self.patch(self.near, "loseConnection", lambda: None)  # like TLS with unsent data
        self.at_peer.pauseProducing()
        self.at_local.write(b"question")
        self.at_local.loseWriteConnection()
        self.at_peer.loseWriteConnection()
        self.settle()
        self.assertTrue(self.forward.near.written and self.near.connected)
        self.far.lose(ConnectionLost())
        self.settle()
        self.assertFalse(self.near.aborted)
        close()
        self.settle()
        self.assertEqual((self.local.received, self.local.read_ended), (b"back", 1))
        self.assertIsNone(self.local.lost)
        self.assert_done("the peer broke the connection")

    def test_abort(self) -> None:
        """Both are reset."""
        self.forward.abort("interrupted")
        self.settle()
        self.assert_reset(self.local)
        self.assert_reset(self.peer)
        self.assert_done("interrupted")

    def test_abort_after_the_end(self) -> None:
        """Nothing happens."""
        for transport in (self.at_local, self.at_peer):
            transport.loseWriteConnection()
        self.settle()
        self.assert_done(None)
        self.forward.abort("interrupted")
        self.assertIsNone(self.forward.broken)
        self.assertEqual((self.local.read_ended, self.peer.read_ended), (1, 1))
