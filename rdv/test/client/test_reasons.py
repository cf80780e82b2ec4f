"""
The reasons of failures, as text for humans.
"""

from __future__ import annotations

from OpenSSL.SSL import Error as TLSError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.liveness import PeerVanished
from rdv._transport.path_end import FirstPathLost
from rdv._transport.secured import PeerNotProven
from rdv.client.reasons import break_text, describe, loss_text


class BreakTests(SynchronousTestCase):
    """Why an established connection was lost."""

    def test_text(self) -> None:
        """Whatever Twisted says beside it."""
        peer = "the peer broke the connection"
        for error, text in (
            (ConnectionLost(), peer),
            (ConnectionLost("[Errno 104]"), peer),
            (ConnectionDone(), peer),
            (PeerVanished(), "the other side stopped responding"),
            (ConnectionAborted(), "an error on this side broke the connection"),
            (OSError("no such thing"), "no such thing"),
        ):
            self.assertEqual(break_text(Failure(error)), text)

    def test_not_proven(self) -> None:
        """That a stream may have been tampered with is not told as any loss."""
        said = break_text(
            Failure(PeerNotProven("a record that is not from the peer")), relayed=True
        )
        self.assertEqual(said, "a record that is not from the peer")

    def test_others(self) -> None:
        lost = Failure(ConnectionLost())
        said = break_text(lost, "the local side")
        self.assertEqual(said, "the local side broke the connection")
        said = break_text(lost, relayed=True)
        self.assertEqual(said, "the peer broke the connection, or the relay did")
        self.assertEqual(break_text(Failure(FirstPathLost("while it moved"))), said)


class LossTests(SynchronousTestCase):
    """Why a connection was lost before it was established."""

    def test_text(self) -> None:
        """What Twisted says, without its preface."""
        for error, text in (
            (ConnectionLost(), "the connection was lost"),
            (ConnectionLost("Connection lost"), "the connection was lost"),
            (ConnectionLost("[Errno 104]"), "[Errno 104]"),
            (PeerVanished(), "the other side stopped responding"),
        ):
            self.assertEqual(loss_text(Failure(error)), text)
            self.assertEqual(describe(error), text)

    def test_tls(self) -> None:
        """OpenSSL's reason; of an answer in plain text, what it means."""
        for reason, text in (
            ("unknown ca", "TLS: unknown ca"),
            ("wrong version number", "TLS: the server does not use it at this port"),
        ):
            error = TLSError([("SSL routines", "", reason)])
            self.assertEqual(loss_text(Failure(error)), text)
        self.assertEqual(loss_text(Failure(TLSError())), "TLS: handshake failed")
