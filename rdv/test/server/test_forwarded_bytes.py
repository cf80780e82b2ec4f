"""A forwarded header that is no text: the client's own fault, and nobody else's trouble."""

from __future__ import annotations

from rdv.server import RendezvousResource, forwarded_address
from rdv.test.server.doubles import WebTestCase, request


class ForwardedBytesTests(WebTestCase):
    """Requests with such headers."""

    def assert_unknown(self, *lines: bytes, port_header: str | None = None) -> None:
        """The client waits, without an observed address, and its partner comes to it."""
        self.setUp()
        how = forwarded_address("X-Forwarded-For", port_header)
        self.mount(RendezvousResource(self.rendezvous, how))
        self.assert_waiting(self.browse(request(more=b"".join(b"%s\r\n" % line for line in lines))))
        self.assertEqual(self.flushLoggedErrors(), [])
        head = self.browse(request(b"ACCEPT")).received
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        self.assertIn(b"Rdv-Peer-Addrs: 192.168.1.16:39841, [2001:db8::7]:39841\r\n", head)

    def test_no_utf8(self) -> None:
        for value in (b"\xff", b"1.2.3.4:5, \xff", b"for=\xff", b'for="1.2.3.4:\xff"', b"\xc3"):
            self.assert_unknown(b"X-Forwarded-For: " + value)

    def test_other_digits(self) -> None:
        """Digits to Python, and to nobody else."""
        self.assert_unknown("X-Forwarded-For: 1.2.3.4:\u0665\u0665".encode())

    def test_in_the_port(self) -> None:
        for value in (b"\xff", b"5\xff", "\u0665".encode()):
            self.assert_unknown(
                b"X-Forwarded-For: 1.2.3.4", b"X-Port: " + value, port_header="X-Port"
            )
