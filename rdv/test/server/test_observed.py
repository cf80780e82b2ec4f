"""Whose address it really is."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.test.requesthelper import DummyRequest

from rdv.server import ObservedAddress, forwarded_address, peer_address


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

    def test_ip4(self) -> None:
        self.assertEqual(
            seen(peer_address, client=IPv4Address("TCP", "203.0.113.9", 39841)), "203.0.113.9:39841"
        )

    def test_ip6(self) -> None:
        self.assertEqual(
            seen(peer_address, client=IPv6Address("TCP", "2001:db8::7", 39841)),
            "[2001:db8::7]:39841",
        )

    def test_mapped(self) -> None:
        """So clients of a dual-stack port look."""
        self.assertEqual(
            seen(peer_address, client=IPv6Address("TCP", "::ffff:203.0.113.9", 39841)),
            "203.0.113.9:39841",
        )

    def test_zone(self) -> None:
        self.assertEqual(
            seen(peer_address, client=IPv6Address("TCP", "fe80::1%eth0", 5)), "[fe80::1]:5"
        )

    def test_no_ip(self) -> None:
        self.assertEqual(seen(peer_address, client=UNIXAddress("/run/rdv")), "None")

    def test_headers_do_not_count(self) -> None:
        """Unless the operator names them."""
        headers = {"X-Forwarded-For": ["203.0.113.9:39841"], "Forwarded": ["for=203.0.113.9:1"]}
        self.assertEqual(seen(peer_address, headers), "10.0.0.1:555")


class ForwardedAddressTests(SynchronousTestCase):
    """``forwarded_address``."""

    def assert_seen(self, wanted: str, *values: str, header: str = "X-Forwarded-For") -> None:
        how = forwarded_address(header)
        self.assertEqual(seen(how, {header: list(values)}), wanted, values)

    def test_address_with_port(self) -> None:
        self.assert_seen("203.0.113.9:39841", "203.0.113.9:39841")
        self.assert_seen("[2001:db8::7]:39841", "[2001:db8::7]:39841")
        self.assert_seen("203.0.113.9:39841", "[::ffff:203.0.113.9]:39841")

    def test_port_is_never_guessed(self) -> None:
        """Neither from the connection nor from a header that was not named."""
        for value in ("203.0.113.9", "2001:db8::7", "[2001:db8::7]", "203.0.113.9:"):
            self.assert_seen("None", value)
        headers = {"X-Forwarded-For": ["203.0.113.9"], "X-Forwarded-Port": ["8080"]}
        self.assertEqual(seen(forwarded_address("X-Forwarded-For"), headers), "None")

    def test_last_element(self) -> None:
        """What the client itself has put in front of it does not count."""
        self.assert_seen("203.0.113.9:1", "6.6.6.6:6, 203.0.113.9:1")
        self.assert_seen("203.0.113.9:1", "6.6.6.6:6,7.7.7.7:7 ,203.0.113.9:1 ")
        self.assert_seen("203.0.113.9:1", "6.6.6.6:6", "203.0.113.9:1")
        self.assert_seen("203.0.113.9:1", "6.6.6.6:6, 5.5.5.5:5", "4.4.4.4:4, 203.0.113.9:1")

    def test_unusable_last_element(self) -> None:
        """One further in front is not taken in its place."""
        self.assert_seen("None", "203.0.113.9:1, unknown")
        self.assert_seen("None", "203.0.113.9:1,")
        self.assert_seen("None", "203.0.113.9:1", "")

    def test_nonsense(self) -> None:
        for value in ("", "unknown", "example.com:80", "1.2.3.4:99999", "[fe80::1%eth0]:5", "ä"):
            self.assert_seen("None", value)
        self.assertEqual(seen(forwarded_address("X-Forwarded-For")), "None")

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
            self.assert_seen(wanted, value, header="Forwarded")

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

    def test_named_port_header_missing(self) -> None:
        how = forwarded_address("X-Real-IP", "X-Real-Port")
        self.assertEqual(seen(how, {"X-Real-IP": ["203.0.113.9"]}), "None")
