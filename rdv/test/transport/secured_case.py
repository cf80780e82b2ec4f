"""
Both ends of a secured stream, over a connection in memory.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.secured import SecureTransport
from rdv.test.doubles import (
    HalfCloseRecorder,
    Recorder,
    connect,
    present,
)
from rdv.test.secure.doubles import paths

LARGE = bytes(range(256)) * 4096


class SecuredTestCase(SynchronousTestCase):
    """An acceptor and a dialer, connected through memory."""

    def secure(self, ours: Recorder | None = None, theirs: Recorder | None = None) -> None:
        """
        Make both: ``ours`` is the acceptor's protocol.
        """
        self.clock = Clock()
        self.ours = cast(HalfCloseRecorder, ours or HalfCloseRecorder())
        self.theirs = cast(HalfCloseRecorder, theirs or HalfCloseRecorder())
        acceptor, dialer = paths()
        self.acceptor = SecureTransport(self.clock, acceptor, self.ours)
        self.dialer = SecureTransport(self.clock, dialer, self.theirs)
        self.below_acceptor, self.below_dialer = connect(self.clock, self.acceptor, self.dialer)

    def setUp(self) -> None:
        self.secure()

    def settle(self) -> None:
        """Let everything arrive."""
        self.clock.advance(0)

    def lost(self, recorder: Recorder) -> type[Exception]:
        """Why it lost its connection."""
        return cast(type[Exception], present(recorder.lost).type)
