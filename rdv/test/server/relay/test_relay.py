"""The 101 of a pair, and its two handshake lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone

from rdv.test.client.doubles import pieces
from rdv.test.doubles import present
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase

#: A line that belongs to another pair.
_OTHER = b"rdv/1 HELLO other\r\n"


class SwitchingTests(ServerTestCase):
    """What both clients receive."""

    def test_exact_bytes_in_one_write(self) -> None:
        """In either order of arrival."""
        said = {
            "dial": {"addresses": "192.168.7.2:40112", "observed": "198.51.100.4:40112"},
            "accept": {
                "addresses": "192.168.1.16:39841, [2001:db8::7]:39841",
                "observed": "203.0.113.9:39841",
            },
        }
        for order in (("dial", "accept"), ("accept", "dial")):
            self.open()
            guests = {name: getattr(self, name)(**said[name]) for name in order}
            self.assertEqual(
                guests["accept"].at_server.writes,
                [
                    b"HTTP/1.1 101 Switching Protocols\r\n"
                    b"Connection: Upgrade\r\n"
                    b"Upgrade: rdv/1\r\n"
                    b"Rdv-Observed-Addr: 203.0.113.9:39841\r\n"
                    b"Rdv-Peer-Addrs: 192.168.7.2:40112, 198.51.100.4:40112\r\n"
                    b"\r\n"
                ],
            )
            self.assertEqual(
                guests["dial"].at_server.writes,
                [
                    b"HTTP/1.1 101 Switching Protocols\r\n"
                    b"Connection: Upgrade\r\n"
                    b"Upgrade: rdv/1\r\n"
                    b"Rdv-Observed-Addr: 198.51.100.4:40112\r\n"
                    b"Rdv-Peer-Addrs: 192.168.1.16:39841, [2001:db8::7]:39841, "
                    b"203.0.113.9:39841\r\n"
                    b"\r\n"
                ],
            )

    def test_unknown_observed_address(self) -> None:
        """It is absent, both as one's own and from the peer's list."""
        dialer, acceptor = self.dial(addresses="192.168.7.2:40112"), self.accept()
        self.assertNotIn(b"Observed", dialer.received + acceptor.received)
        self.assertIn(b"\r\nRdv-Peer-Addrs: 192.168.7.2:40112\r\n\r\n", acceptor.received)
        self.assertTrue(dialer.received.endswith(b"\r\nRdv-Peer-Addrs: \r\n\r\n"))


class LineTests(ServerTestCase):
    """Section 4 of the protocol, up to the second line."""

    def assert_cut(self, *guests: Guest) -> None:
        """Both connections are broken off, so that nobody takes this for an end."""
        self.settle()
        for guest in guests:
            self.assertFalse(present(guest.lost).check(ConnectionDone))
        self.assert_over(failed=1)

    def test_forwarded(self) -> None:
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        self.assertEqual((dialer.take(), acceptor.take()), (HELLO, b""))
        dialer.here.write(CONFIRM)
        self.settle()
        self.assertEqual((dialer.take(), acceptor.take()), (b"", CONFIRM))
        self.assertEqual((dialer.lost, acceptor.lost), (None, None))

    def test_order_does_not_matter(self) -> None:
        """The original server does not mind either."""
        dialer, acceptor = self.pair()
        dialer.here.write(CONFIRM)
        self.settle()
        self.assertEqual(acceptor.take(), CONFIRM)
        acceptor.here.write(HELLO)
        self.settle()
        self.assertEqual(dialer.take(), HELLO)

    def test_cut_into_bytes(self) -> None:
        """Forwarded when complete and right, in one write; not a byte of it before."""
        dialer, acceptor = self.pair()
        for sender, receiver, line in ((acceptor, dialer, HELLO), (dialer, acceptor, CONFIRM)):
            for byte in line[:-1]:
                sender.here.write(bytes([byte]))
                self.settle()
                self.assertEqual(receiver.received, b"")
            sender.here.write(line[-1:])
            self.settle()
            self.assertEqual(receiver.pieces, [line])

    @given(
        st.binary(max_size=40),
        st.binary(max_size=40),
        st.lists(st.integers(0, 1000)),
        st.lists(st.integers(0, 1000)),
    )
    def test_any_pieces(
        self, to_acceptor: bytes, to_dialer: bytes, cuts: list[int], more_cuts: list[int]
    ) -> None:
        """However the streams are cut: the lines and what follows arrive, nothing else."""
        self.open()
        dialer, acceptor = self.pair()
        for piece in pieces(HELLO + to_dialer, cuts):
            acceptor.here.write(piece)
        for piece in pieces(CONFIRM + to_acceptor, more_cuts):
            dialer.here.write(piece)
        self.settle()
        self.assertEqual(dialer.received, HELLO + to_dialer)
        self.assertEqual(acceptor.received, CONFIRM + to_acceptor)
        self.close_all(dialer, acceptor)
        self.assert_over(relayed=1)

    def test_first_wrong_byte_cuts(self) -> None:
        """At the byte itself: the end of the line is not waited for."""
        for wrong in (
            b"X",
            b"\r\n",
            b"rdv/1 HELLP",
            b"GET / HTTP/1.1\r\n",
            HELLO[:-1] + b"\r",
            _OTHER,
        ):
            self.open()
            dialer, acceptor = self.pair()
            acceptor.here.write(wrong)
            self.settle()
            self.assertEqual(dialer.received, b"")
            self.assert_cut(dialer, acceptor)

    def test_wrong_byte_of_the_dialer(self) -> None:
        for wrong in (b"X", HELLO, CONFIRM.replace(b"token", b"tokem"), b"rdv/1 CONFIRM \r\n"):
            self.open()
            dialer, acceptor = self.pair()
            acceptor.here.write(HELLO)
            self.settle()
            dialer.here.write(wrong)
            self.settle()
            self.assertEqual(acceptor.received, b"")
            self.assert_cut(dialer, acceptor)

    def test_wrong_byte_in_a_later_piece(self) -> None:
        dialer, acceptor = self.pair()
        for piece in (b"rdv/1 HE", b"LLO tok", b"ens\r\n"):
            acceptor.here.write(piece)
        self.assert_cut(dialer, acceptor)


class DeadlineTests(ServerTestCase):
    """The lines must arrive in time."""

    def test_no_line(self) -> None:
        dialer, acceptor = self.pair()
        self.clock.advance(29)
        self.assertEqual((dialer.lost, acceptor.lost), (None, None))
        self.clock.advance(1)
        self.assertFalse(present(dialer.lost).check(ConnectionDone))
        self.assertFalse(present(acceptor.lost).check(ConnectionDone))
        self.assert_over(failed=1)

    def test_one_line(self) -> None:
        """Neither alone is enough, and a part of one restarts nothing."""
        for only in (HELLO, CONFIRM):
            self.open(handshake_timeout=10)
            dialer, acceptor = self.pair()
            sender = acceptor if only is HELLO else dialer
            sender.here.write(only[:5])
            self.settle()
            self.clock.advance(9)
            sender.here.write(only[5:])
            self.settle()
            self.assertEqual((dialer.lost, acceptor.lost), (None, None))
            self.clock.advance(1)
            self.assertTrue(dialer.lost and acceptor.lost)
            self.assert_over(failed=1)

    def test_both_lines(self) -> None:
        self.open(handshake_timeout=10, idle_timeout=0)
        dialer, acceptor = self.relayed_pair()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(1000)
        self.assertEqual((dialer.lost, acceptor.lost), (None, None))

    def test_none(self) -> None:
        self.open(handshake_timeout=0)
        dialer, acceptor = self.pair()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10_000_000)
        self.assertEqual((dialer.lost, acceptor.lost), (None, None))
