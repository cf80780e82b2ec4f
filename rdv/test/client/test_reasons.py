"""Why something did not work, for a person."""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.liveness import PeerVanished
from rdv.client.reasons import break_text


class BreakTests(SynchronousTestCase):
    """Why an established connection was lost."""

    def test_peer(self) -> None:
        """Whatever Twisted says beside it."""
        for error in (ConnectionLost(), ConnectionLost("[Errno 104]"), ConnectionDone()):
            said = break_text(Failure(error))
            self.assertEqual(said, "the peer broke the connection off")

    def test_others(self) -> None:
        lost = Failure(ConnectionLost())
        said = break_text(lost, "the local side")
        self.assertEqual(said, "the local side broke the connection off")
        said = break_text(lost, relayed=True)
        self.assertEqual(said, "the peer broke the connection off, or the relay did")

    def test_vanished(self) -> None:
        said = break_text(Failure(PeerVanished()))
        self.assertEqual(said, "the other side does not answer any more")

    def test_this_side(self) -> None:
        """Nobody else is to blame."""
        said = break_text(Failure(ConnectionAborted()))
        self.assertEqual(said, "an error on this side broke the connection off")

    def test_anything_else(self) -> None:
        self.assertEqual(break_text(Failure(OSError("no such thing"))), "no such thing")
