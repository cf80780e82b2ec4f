"""
The address of the real client.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.test.requesthelper import DummyRequest

from rdv.server import ObservedAddress, forwarded_address, peer_address
from rdv.test.server.doubles import WebTestCase, request


def seen(
    how: ObservedAddress,
    headers: dict[str, list[str]] | None = None,
    client: IAddress = IPv4Address("TCP", "10.0.0.1", 555),  # noqa: B008 - immutable
) -> str:
    """The address seen in a request with these headers, as text."""
    request = DummyRequest([])
    request.client = client
    for name, values in (headers or {}).items():
        request.requestHeaders.setRawHeaders(name, values)
    return str(how(cast(IRequest, request)))


class PeerAddressTests(SynchronousTestCase):
    """``peer_address``."""

    def test_connection(self) -> None:
        """Mapped addresses are what clients of a dual-stack port look like."""
        for client, wanted in (
            (IPv4Address("TCP", "203.0.113.9", 39841), "203.0.113.9:39841"),
            (IPv6Address("TCP", "2001:db8::7", 39841), "[2001:db8::7]:39841"),
            (IPv6Address("TCP", "::ffff:203.0.113.9", 39841), "203.0.113.9:39841"),
            (IPv6Address("TCP", "fe80::1%eth0", 5), "[fe80::1]:5"),
            (UNIXAddress("/run/rdv"), "None"),
        ):
            self.assertEqual(seen(peer_address, client=client), wanted)

    def test_headers_do_not_count(self) -> None:
        """Unless the operator names them."""
        headers = {"X-Forwarded-For": ["203.0.113.9:39841"], "Forwarded": ["for=203.0.113.9:1"]}
        self.assertEqual(seen(peer_address, headers), "10.0.0.1:555")


class ForwardedAddressTests(SynchronousTestCase):
    """``forwarded_address``."""

    def test_last_element(self) -> None:
        """What the client itself has put in front of it does not count, if the last is unusable."""
        good, how = "203.0.113.9:1", forwarded_address("X-Forwarded-For")
        for values, wanted in (
            ([good], good),
            (["[2001:db8::7]:1"], "[2001:db8::7]:1"),
            (["[::ffff:203.0.113.9]:1"], good),
            ([f"6.6.6.6:6, {good}"], good),
            ([f"6.6.6.6:6,7.7.7.7:7 ,{good} "], good),
            (["6.6.6.6:6", good], good),
            (["6.6.6.6:6, 5.5.5.5:5", f"4.4.4.4:4, {good}"], good),
            ([f"{good}, unknown"], "None"),
            ([f"{good},"], "None"),
            ([good, ""], "None"),
        ):
            self.assertEqual(seen(how, {"X-Forwarded-For": values}), wanted, values)

    def test_nonsense(self) -> None:
        """A port is never guessed, not from the connection nor from another header either."""
        how = forwarded_address("X-Forwarded-For")
        nonsense = ("", "unknown", "example.com:80", "1.2.3.4:99999", "[fe80::1%eth0]:5", "ä")
        for value in (*nonsense, "203.0.113.9", "2001:db8::7", "[2001:db8::7]", "203.0.113.9:"):
            headers = {"X-Forwarded-For": [value], "X-Forwarded-Port": ["8080"]}
            self.assertEqual(seen(how, headers), "None", value)
        self.assertEqual(seen(how), "None")

    def test_rfc7239(self) -> None:
        for value, wanted in (
            ('for="203.0.113.9:39841"', "203.0.113.9:39841"),
            ("for=203.0.113.9:39841", "203.0.113.9:39841"),
            ('For="[2001:db8::7]:39841";proto=https', "[2001:db8::7]:39841"),
            ('proto=https; for="203.0.113.9:39841"', "203.0.113.9:39841"),
            ("by=203.0.113.43;for=192.0.2.60:5;host=x", "192.0.2.60:5"),
            ('for=6.6.6.6:6, for="203.0.113.9:1";by=10.0.0.1', "203.0.113.9:1"),
            ("for=203.0.113.9", "None"),
            ("for=_hidden:5", "None"),
            ("for=unknown", "None"),
            ("proto=https", "None"),
            ('by="203.0.113.9:5"', "None"),
        ):
            how = forwarded_address("Forwarded")
            self.assertEqual(seen(how, {"Forwarded": [value]}), wanted)

    def test_quoted(self) -> None:
        """A proxy quotes what a client has said, its Host for one: nothing in it is an address."""
        how, good = forwarded_address("Forwarded"), 'for="203.0.113.9:1"'
        for value in (
            f'{good};host="x, for=6.6.6.6:6"',
            f'{good};host="x;for=6.6.6.6:6"',
            f'host="x;for=6.6.6.6:6";{good}',
            rf'host="x\", for=6.6.6.6:6";{good}',
            # What the client itself has sent in this header, before the proxy's element.
            f'for="6.6.6.6:6, {good}',
            f'for="6.6.6.6:6", for=", {good}',
            rf'for="6.6.6.6:6\, {good};host="x\""',
            f'", {good};host="x, for=6.6.6.6:6"',
        ):
            self.assertEqual(seen(how, {"Forwarded": [value]}), "203.0.113.9:1", value)

    def test_named_port_header(self) -> None:
        how = forwarded_address("X-Real-IP", "X-Real-Port")
        for ip, port, wanted in (
            ("203.0.113.9", "39841", "203.0.113.9:39841"),
            ("2001:db8::7", "39841", "[2001:db8::7]:39841"),
            ("[2001:db8::7]", "39841", "[2001:db8::7]:39841"),
            ("::ffff:203.0.113.9", "39841", "203.0.113.9:39841"),
            ("6.6.6.6, 203.0.113.9", "6, 39841", "203.0.113.9:39841"),
            ("203.0.113.9", "", "None"),
            ("203.0.113.9", "x", "None"),
            ("203.0.113.9", "-1", "None"),
            ("203.0.113.9", "65536", "None"),
            ("", "39841", "None"),
            ("203.0.113.9:5", "39841", "None"),
        ):
            self.assertEqual(seen(how, {"X-Real-IP": [ip], "X-Real-Port": [port]}), wanted)
        self.assertEqual(seen(how, {"X-Real-IP": ["203.0.113.9"]}), "None")


class NoTextTests(WebTestCase):
    """A header that is not text: only the client that sent it is affected."""

    def test_unknown(self) -> None:
        """The client waits, without an observed address, and its partner comes to it."""
        digit = "\u0665".encode()  # to Python, and to nobody else
        values = (b"\xff", b"1.2.3.4:5, \xff", b"for=\xff", b'for="1.2.3.4:\xff"', b"\xc3")
        for port_header, value, port in (
            *((None, value, b"") for value in (*values, b"1.2.3.4:" + digit)),
            *(("X-Port", b"1.2.3.4", port) for port in (b"\xff", b"5\xff", digit)),
        ):
            self.setUp()
            self.observing(forwarded_address("X-Forwarded-For", port_header))
            more = b"X-Forwarded-For: %s\r\nX-Port: %s\r\n" % (value, port)
            self.assert_waiting(self.browse(request(more=more)))
            self.assertEqual(self.flushLoggedErrors(), [])
            head = self.browse(request(b"ACCEPT")).received
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
            self.assertIn(b"Rdv-Peer-Addrs: 192.168.1.16:39841, [2001:db8::7]:39841\r\n", head)
