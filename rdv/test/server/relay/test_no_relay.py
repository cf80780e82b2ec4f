"""A server that introduces clients to each other, and relays nothing."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone

from rdv.server import RelayLimits
from rdv.server.accounting.record import PairRecord
from rdv.server.relay.outcome import EndReason
from rdv.test.doubles import present
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase


class NoRelayTests(ServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open(relay=RelayLimits(allowed=False), handshake_timeout=30)
        self.records: list[PairRecord] = []
        self.rendezvous.listeners.append(self.records.append)

    def assert_ended(self, reason: EndReason, *guests: Guest, **outcomes: int) -> None:
        """All of them in good order, and so did the pair."""
        for guest in guests:
            guest.here.loseConnection()
        self.settle()
        for guest in guests:
            self.assertFalse(guest.at_server.aborted)
            self.assertTrue(present(guest.lost).check(ConnectionDone))
        self.assertEqual([each.reason for each in self.records], [reason])
        self.assert_over(**outcomes)

    def test_told(self) -> None:
        """Before anything else."""
        for guest in (self.dial(), self.accept()):
            guest.take()
        dialer, acceptor = self.dial(), self.accept()
        for guest in (dialer, acceptor):
            self.assertIn(b"\r\nRdv-Relay: none\r\n", guest.take())
        self.rendezvous.abort()
        self.open()
        self.assertIsNone(self.dial().status)
        self.assertNotIn(b"Rdv-Relay", self.accept().take())

    def test_direct(self) -> None:
        """The acceptor's HELLO is read, and not passed on. The outcome is what it always is."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        dialer.here.loseConnection()
        self.settle()
        self.assertEqual((dialer.take(), acceptor.take()), (b"", b""))
        self.assert_ended(EndReason.DIALER_CLOSED, dialer, acceptor, direct=1)

    def test_no_direct_path(self) -> None:
        """Both see an end when their time is over, and none of what the other has said."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO + b"and more")
        self.settle()
        acceptor.here.write(b"and still more")
        self.clock.advance(29)
        self.assertEqual((dialer.read_ended, acceptor.read_ended), (0, 0))
        self.clock.advance(1)
        self.assertEqual((dialer.read_ended, acceptor.read_ended), (1, 1))
        self.assertEqual((dialer.take(), acceptor.take()), (b"", b""))
        self.assert_ended(EndReason.NO_RELAY, dialer, acceptor, failed=1)

    def test_chooses_the_relay(self) -> None:
        """That is the end, whether it was offered or not."""
        for lines in ((CONFIRM,), (HELLO, CONFIRM)):
            self.setUp()
            dialer, acceptor = self.pair()
            for line in lines:
                (acceptor if line is HELLO else dialer).here.write(line)
                self.settle()
            self.assertEqual((dialer.read_ended, acceptor.read_ended), (1, 1))
            self.assertEqual((dialer.take(), acceptor.take()), (b"", b""))
            self.assert_ended(EndReason.NO_RELAY, dialer, acceptor, failed=1)

    def test_wrong_line(self) -> None:
        """Is cut, as everywhere."""
        dialer, acceptor = self.pair()
        acceptor.here.write(b"nonsense\r\n")
        self.settle()
        self.assertTrue(dialer.at_server.aborted)
        self.assert_over(failed=1)
