"""
Both ends of a secured stream, over a connection in memory.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.secured import Joining, SecureTransport
from rdv.test.doubles import (
    HalfCloseRecorder,
    Recorder,
    connect,
    present,
)
from rdv.test.secure.doubles import joining, paths

__all__ = ["LARGE", "MovingTestCase", "SecuredTestCase"]

LARGE = bytes(range(256)) * 4096

#: The dialer's end of another path.
DIRECT = IPv4Address("TCP", "192.0.2.99", 7777)


class SecuredTestCase(SynchronousTestCase):
    """An acceptor and a dialer, connected through memory."""

    moves = False

    def secure(self, ours: Recorder | None = None, theirs: Recorder | None = None) -> None:
        """
        Make both: ``ours`` is the acceptor's protocol.
        """
        self.clock = Clock()
        self.ours = cast(HalfCloseRecorder, ours or HalfCloseRecorder())
        self.theirs = cast(HalfCloseRecorder, theirs or HalfCloseRecorder())
        acceptor, dialer = paths(moves=self.moves)
        self.acceptor = SecureTransport(self.clock, acceptor, self.ours)
        self.dialer = SecureTransport(self.clock, dialer, self.theirs)
        self.below_acceptor, self.below_dialer = connect(
            self.clock, self.acceptor.first, self.dialer.first
        )

    def setUp(self) -> None:
        self.secure()

    def settle(self) -> None:
        """Let everything arrive."""
        self.clock.advance(0)

    def lost(self, recorder: Recorder) -> type[Exception]:
        """Why it lost its connection."""
        return cast(type[Exception], present(recorder.lost).type)


class MovingTestCase(SecuredTestCase):
    """The same; both can move."""

    moves = True

    def join(self) -> tuple[Joining, Joining]:
        """Another path, connected: what the acceptor and what the dialer has of it."""
        acceptor, dialer = joining(self.acceptor.path, self.dialer.path)
        ends = self.acceptor.join(acceptor), self.dialer.join(dialer)
        self.joined_acceptor, self.joined_dialer = connect(self.clock, *ends, address=DIRECT)
        return ends

    def move(self) -> None:
        """Another path takes over."""
        self.settle()
        for end in self.join():
            self.settle()
            self.assertIsNone(self.successResultOf(end.proven))

    def assert_left(self) -> None:
        """Nothing is left of the first path."""
        self.assertFalse(self.below_acceptor.connected or self.below_dialer.connected)
        self.assertTrue(self.joined_acceptor.connected and self.joined_dialer.connected)

    def assert_whole(self) -> None:
        """It ends well for both."""
        for side in (self.acceptor, self.dialer):
            side.loseConnection()
        self.settle()
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for each in (self.joined_acceptor, self.joined_dialer, self.below_dialer):
            self.assertFalse(each.connected)
