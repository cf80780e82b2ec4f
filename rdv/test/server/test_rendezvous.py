"""
Waiting for a partner: which clients meet, and which are sent away.
"""

from __future__ import annotations

from rdv.test.server.doubles import ServerTestCase
from rdv.wire import Role


class WaitingTests(ServerTestCase):
    """Section 2 of the protocol, up to the 101."""

    def test_both_orders_of_arrival(self) -> None:
        for first in Role:
            one = self.come(first)
            self.assert_waiting(one)
            other = self.come(first.other)
            self.assertEqual((one.status, other.status), (101, 101))
            self.assertEqual((self.rendezvous.waiting, self.rendezvous.pairs), (0, 1))
            self.close_all(one, other)
            self.assertEqual(self.rendezvous.pairs, 0)

    def test_many_at_once(self) -> None:
        """Everybody meets the one with the same token."""
        dialers = [self.dial(b"%d" % n, observed=f"192.0.2.{n}:1") for n in range(50)]
        acceptors = [self.accept(b"%d" % n, observed=f"192.0.2.{n}:2") for n in range(49, -1, -1)]
        for number, (dialer, acceptor) in enumerate(zip(dialers, reversed(acceptors), strict=True)):
            self.assertIn(b"Rdv-Peer-Addrs: 192.0.2.%d:2\r\n" % number, dialer.received)
            self.assertIn(b"Rdv-Peer-Addrs: 192.0.2.%d:1\r\n" % number, acceptor.received)
        self.assertEqual(self.rendezvous.pairs, 50)

    def test_replaced(self) -> None:
        for role in Role:
            older, newer = self.come(role), self.come(role)
            self.assert_refused(older, 409, "replaced by another conn")
            self.close_all(older)  # it does not take its successor along
            self.assert_waiting(newer)
            partner = self.come(role.other)
            self.assertEqual((newer.status, partner.status), (101, 101))
            self.close_all(older, newer, partner)
        self.assert_over(abandoned=2)

    def test_timeout(self) -> None:
        guest = self.dial()
        self.clock.advance(299)
        self.assert_waiting(guest)
        self.clock.advance(1)
        self.assert_refused(guest, 408, "no matching peer found")
        self.assertEqual(self.rendezvous.waiting, 0)
        self.close_all(guest)
        self.assert_over()

    def test_no_timeout(self) -> None:
        self.open(lobby_timeout=0)
        guest = self.dial()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10_000_000)
        self.assert_waiting(guest)

    def test_leaving(self) -> None:
        """In whatever way: the connection is closed without an answer; the next one waits alone."""
        for way in ("abortConnection", "loseConnection", "loseWriteConnection"):
            guest = self.dial()
            getattr(guest.here, way)()
            self.settle()
            self.assertEqual((guest.received, guest.at_server.connected), (b"", False))
            self.close_all(guest)
            self.assert_over()
            next_one = self.accept()
            self.assert_waiting(next_one)
            self.close_all(next_one)

    def test_early_bytes(self) -> None:
        """Sent while waiting: refused at the first of them."""
        guest = self.dial()
        guest.here.write(b"r")
        self.settle()
        self.assert_refused(guest, 400, "bytes before the response")
        self.assertEqual(self.rendezvous.waiting, 0)
        guest.here.write(b"dv/1 HELLO token\r\n")
        self.settle()
        self.assertEqual((guest.received, guest.lost), (b"", None))
        self.assert_waiting(self.accept())

    def test_early_bytes_do_not_cost_the_partner(self) -> None:
        """Decided once: the one who waits goes on waiting, and gets no 101."""
        acceptor = self.accept()
        self.assertEqual(self.dial(early=b"x").status, 400)
        self.assert_waiting(acceptor)
        self.assertEqual(self.dial().status, 101)
        self.assertEqual(acceptor.status, 101)

    def test_refused_client_that_stays(self) -> None:
        """It has some seconds to take note; then it is cut off."""
        guest = self.dial(early=b"x")
        self.clock.advance(4)
        self.assertTrue(guest.at_server.connected)
        self.clock.advance(1)
        self.assertFalse(guest.at_server.connected)
        self.assert_over()

    def test_burst_of_timeouts_does_not_stall_matching(self) -> None:
        """Somebody whose turn has not yet come is met between two batches."""
        count = 600
        guests = [self.dial(b"%d" % number) for number in range(count)]
        partners = []
        self.clock.callLater(300, lambda: partners.append(self.accept(b"%d" % (count - 1))))
        self.clock.advance(300)
        self.assertEqual([guest.status for guest in guests], [408] * (count - 1) + [101])
        self.assertEqual(partners[0].status, 101)
