"""Addresses: spaces, parsing and formatting."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import (
    Address,
    AddressSpace,
    canonical_address,
    endpoint_address,
    endpoint_text,
    format_addresses,
    host_of,
    network_of,
    network_text,
    packed_ip,
    parse_address,
    parse_ip,
    space_of,
)

# The last address of a space and its neighbours, from the table in section 5 of the protocol.
SPACES = {
    AddressSpace.PUBLIC4: """
        0.0.0.1 1.1.1.1 9.255.255.255 11.0.0.0 100.64.0.0 100.127.255.255 126.255.255.255
        128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.2.1 192.167.255.255
        192.169.0.0 198.18.0.1 203.0.113.9 223.255.255.255 240.0.0.0 255.255.255.254
        ::ffff:9.255.255.255 ::ffff:203.0.113.9""",
    AddressSpace.PUBLIC6: """
        ::2 ::fffe:ffff:ffff 2000:: 2001:db8::7 64:ff9b::1 fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
        fe00:: fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0::
        feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::fffe:0:0 ::1:0:0:0""",
    AddressSpace.PRIVATE4: """
        10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255
        ::ffff:10.0.0.1 ::ffff:192.168.1.16""",
    AddressSpace.PRIVATE6: "fc00:: fd00::1 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    AddressSpace.LINK4: "169.254.0.0 169.254.255.255 ::ffff:169.254.1.1",
    AddressSpace.LINK6: "fe80:: fe80::1 febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    AddressSpace.LOOPBACK: "127.0.0.0 127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1",
    AddressSpace.NONE: """
        0.0.0.0 255.255.255.255 224.0.0.0 239.255.255.255 :: ff00:: ff02::1
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::ffff:0.0.0.0 ::ffff:255.255.255.255
        ::ffff:224.0.0.1""",
}

UNREADABLE = """
    : 80 :80 1.2.3.4 1.2.3.4: 1.2.3:80 1.2.3.4.5:80 1.2.3.256:80 01.2.3.4:80 1.2.3.4:65536
    1.2.3.4:-1 1.2.3.4:+80 1.2.3.4:8_0 1.2.3.4:000080 1.2.3.4:http 1.2.3.4:٣ example.com:80
    2001:db8::7:80 2001:db8::7 [2001:db8::7] [2001:db8::7]80 [2001:db8::7:80 2001:db8::7]:80
    [1.2.3.4]:80 []:80 [fe80::1%eth0]:80 [fe80::1%1]:80 [[::1]]:80"""

ips = st.ip_addresses()
unmapped = ips.filter(lambda ip: getattr(ip, "ipv4_mapped", None) is None)
ports = st.integers(min_value=0, max_value=0xFFFF)
addresses = st.builds(Address, unmapped, ports)


class SpaceTests(SynchronousTestCase):
    """``space_of`` and the flags."""

    def test_every_boundary(self) -> None:
        for space, texts in SPACES.items():
            for text in texts.split():
                self.assertEqual(space_of(ip_address(text)), space, text)

    @given(ips)
    def test_exactly_one_space(self, ip: IPv4Address | IPv6Address) -> None:
        self.assertIn(space_of(ip), SPACES)

    @given(st.ip_addresses(v=4))
    def test_mapped_counts_as_what_it_holds(self, ip: IPv4Address) -> None:
        self.assertEqual(space_of(IPv6Address(f"::ffff:{ip}")), space_of(ip))

    def test_sets(self) -> None:
        optional = AddressSpace.LINK4 | AddressSpace.LINK6 | AddressSpace.LOOPBACK
        self.assertFalse(AddressSpace.DEFAULT & optional)
        self.assertEqual(AddressSpace.DEFAULT | optional, AddressSpace.ALL)
        for space in SPACES:
            self.assertIn(space, AddressSpace.ALL)
        self.assertFalse(AddressSpace.NONE)


class AddressTests(SynchronousTestCase):
    """One address as text."""

    def test_format(self) -> None:
        self.assertEqual(str(parse_address("[2001:DB8:0::7]:80")), "[2001:db8::7]:80")
        for port in (0, 80, 65535):
            self.assertEqual(str(parse_address(f"1.2.3.4:{port}")), f"1.2.3.4:{port}")

    @given(st.lists(addresses))
    def test_round_trip(self, several: list[Address]) -> None:
        text = format_addresses(several)
        self.assertEqual([parse_address(t) for t in text.split(", ") if t], several)

    def test_mapped_is_unwrapped(self) -> None:
        mapped = parse_address("[::ffff:192.168.7.2]:40112")
        self.assertEqual(mapped, Address(IPv4Address("192.168.7.2"), 40112))
        self.assertEqual(str(mapped), "192.168.7.2:40112")
        self.assertEqual(parse_ip("::ffff:c0a8:702"), IPv4Address("192.168.7.2"))

    @given(st.text() | st.text(alphabet="0123456789abcdef:.[]%- "))
    @example("[1.2.3.4]:80")
    @example("1.2.3.4:٣")
    @example("1.2.3.4:-1")
    @example("[::1]:" + "9" * 5000)
    @example("\udc80:80")
    def test_arbitrary_text(self, text: str) -> None:
        """
        Either an address that says the same again, or ValueError; nothing else. The short way to
        the same text makes no difference.
        """
        try:
            address = parse_address(text)
        except ValueError as error:
            short = self.assertRaises(ValueError, canonical_address, text)
            self.assertEqual(str(short), str(error))
            return
        self.assertEqual(canonical_address(text), str(address))
        self.assertEqual(parse_address(str(address)), address)
        self.assertTrue(0 <= address.port <= 0xFFFF)

    @given(ips, ports)
    def test_every_address(self, ip: IPv4Address | IPv6Address, port: int) -> None:
        """Of which arbitrary text finds few."""
        written = f"[{ip.exploded}]:{port}" if ip.version == 6 else f"{ip}:{port}"
        self.assertEqual(canonical_address(written), str(parse_address(written)))

    def test_of_a_socket(self) -> None:
        """As the system says it."""
        for host, text in (
            ("192.0.2.1", "192.0.2.1:80"),
            ("::ffff:192.0.2.1", "192.0.2.1:80"),
            ("fe80::1%eth0", "[fe80::1]:80"),
        ):
            self.assertEqual(endpoint_text(host, 80), text)
            self.assertEqual(endpoint_address(host, 80), parse_address(text))
        self.assertRaises(ValueError, endpoint_text, "/run/socket", 80)

    def test_network(self) -> None:
        """What one client has: an address of IPv4, a /64 of IPv6."""
        for text, network in (
            ("192.0.2.1:80", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"),
            ("[fe80::1%eth0]:80", "fe80::/64"),
        ):
            self.assertEqual(network_text(network_of(host_of(text))), network)
        self.assertEqual(host_of(""), "")
        self.assertRaises(ValueError, network_of, "")

    @given(addresses)
    def test_packed_ip(self, address: Address) -> None:
        """Without the rest."""
        self.assertEqual(packed_ip(str(address)), address.ip.packed)
        self.assertRaises(ValueError, packed_ip, "1.2.3.4")

    def test_unreadable(self) -> None:
        for text in ("", "1.2.3.4: 80", *UNREADABLE.split()):
            self.assertRaises(ValueError, parse_address, text)
        self.assertRaises(ValueError, parse_ip, "fe80::1%eth0")
        self.assertRaises(ValueError, parse_ip, "localhost")

    def test_message_is_bounded(self) -> None:
        for parse, text in ((parse_address, "x" * 10_000), (parse_ip, "%" * 10_000)):
            error = self.assertRaises(ValueError, parse, text)
            self.assertLess(len(str(error)), 200)
