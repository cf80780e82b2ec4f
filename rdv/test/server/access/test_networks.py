"""
Networks, and which addresses belong to them.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
)

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.access.making import ServerDoor
from rdv.server.access.networks import AddressLists, Networks, parse_network
from rdv.settings import ServerSettings
from rdv.test.server.access.doubles import AccessTestCase, visitor

REFUSED = (403, "this server does not serve your address")

# Of few bits, so that many of them contain others.
numbers = st.integers(0, 0xFF)
addresses4 = numbers.map(lambda number: IPv4Address(number << 24 | number))
addresses6 = numbers.map(lambda number: IPv6Address(number << 120 | number))
networks4 = st.builds(
    lambda ip, length: IPv4Network((ip, length), strict=False), addresses4, st.integers(0, 32)
)
networks6 = st.builds(
    lambda ip, length: IPv6Network((ip, length), strict=False), addresses6, st.integers(0, 128)
)


class NetworksTests(SynchronousTestCase):
    """A set of them."""

    @given(st.lists(networks4 | networks6), addresses4 | addresses6)
    @example([IPv4Network("0.0.0.0/0")], IPv6Address("::"))
    @example([IPv6Network("::/0")], IPv4Address(0))
    def test_as_the_standard_library(
        self, networks: list[IPv4Network | IPv6Network], ip: IPv4Address | IPv6Address
    ) -> None:
        expected = any(ip.version == each.version and ip in each for each in networks)
        self.assertEqual(ip.packed in Networks(networks), expected)

    @given(st.lists(networks4, max_size=6))
    def test_order_and_overlap(self, networks: list[IPv4Network]) -> None:
        """Say nothing."""
        some = Networks(networks)
        same = Networks(collapse_addresses(networks))
        for number in range(0x100):
            ip = IPv4Address(number << 24 | number).packed
            self.assertEqual(ip in some, ip in same)


class ParsingTests(SynchronousTestCase):
    """Their texts."""

    @given(networks4 | networks6)
    def test_round_trip(self, network: IPv4Network | IPv6Network) -> None:
        self.assertEqual(parse_network(str(network)), network)

    @given(st.text(max_size=30) | st.text(st.sampled_from("0123456789abf:./%"), max_size=30))
    def test_anything(self, text: str) -> None:
        """Is a network, or an error that says so."""
        try:
            network = parse_network(text)
        except ValueError as error:
            self.assertRegex(str(error), "^not a network(,| such as) ")
        else:
            self.assertEqual(parse_network(str(network)), network)

    def test_addresses(self) -> None:
        """Are networks of one; those of IPv4 within IPv6 count as what they are."""
        for text, network in (
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ):
            self.assertEqual(str(parse_network(text)), network)

    def test_others(self) -> None:
        """In the words of the error."""
        for text, said in (
            ("10.0.0.1/8", "not a network, but an address in the network 10.0.0.0/8: '10.0.0.1/8'"),
            ("2001:db8::1/32", "not a network, but an address in the network 2001:db8::/32: "),
            ("10.0.0.0/33", "not a network such as 192.0.2.0/24 or 2001:db8::/32: '10.0.0.0/33'"),
            ("fe80::1%eth0", "not a network such as "),
            ("10.0", "not a network such as "),
            ("", "not a network such as "),
        ):
            error = self.assertRaises(ValueError, parse_network, text)
            self.assertEqual(str(error)[: len(said)], said)


class AddressListsTests(AccessTestCase):
    """``--allow`` and ``--deny``."""

    def assert_served(self, lists: AddressLists, *ips: str) -> None:
        """These, and no others of those that the tests know."""
        for text in ("192.0.2.1", "192.0.2.200", "203.0.113.9", "2001:db8::7", "2001:db9::7", ""):
            ip = ip_address(text) if text else None
            observed = "" if ip is None else f"{ip}:7" if ip.version == 4 else f"[{ip}]:7"
            one = visitor(observed=observed)
            if text in ips:
                self.assertIsNone(self.let_in(lists, one))
            else:
                self.assertEqual(self.refused(lists, one), REFUSED, text)

    def test_allowed(self) -> None:
        """The others are not, and who comes from nobody knows where is one of them."""
        self.assert_served(AddressLists(["192.0.2.0/24"], []), "192.0.2.1", "192.0.2.200")
        self.assert_served(AddressLists(["::/0"], []), "2001:db8::7", "2001:db9::7")
        self.assert_served(AddressLists([self.file()], []))

    def test_denied(self) -> None:
        """The others are not; not even those who come from nobody knows where."""
        denied = AddressLists([], ["192.0.2.0/24", "2001:db8::/32"])
        self.assert_served(denied, "203.0.113.9", "2001:db9::7", "")

    def test_both(self) -> None:
        """Then what is denied is."""
        lists = AddressLists(["192.0.2.0/24", "2001:db8::/31"], ["192.0.2.128/25"])
        self.assert_served(lists, "192.0.2.1", "2001:db8::7", "2001:db9::7")

    def test_files(self) -> None:
        """Beside what stands on the command line; read again when they have changed."""
        path = self.file("# at home", "192.0.2.1", "", "2001:db8::/32")
        lists = AddressLists(["203.0.113.0/24", path], [])
        self.assert_served(lists, "192.0.2.1", "2001:db8::7", "203.0.113.9")
        self.file("2001:db9::7", path=path)
        lists.reload()
        self.assert_served(lists, "2001:db9::7", "203.0.113.9")
        self.file("192.0.2.1", "10.0.0.1/8", path=path)
        error: RdvError = self.assertRaises(RdvError, lists.reload)
        said = (
            f"{path}, line 2: not a network, but an address in the network 10.0.0.0/8: '10.0.0.1/8'"
        )
        self.assertEqual(str(error), said)
        self.assert_served(lists, "2001:db9::7", "203.0.113.9")

    def test_bad_file(self) -> None:
        """Nobody comes in, or is kept out, because one of the two could not be read."""
        allow, deny = self.file("192.0.2.0/24"), self.file("192.0.2.128/25")
        lists = AddressLists([allow], [deny])
        self.file("203.0.113.0/24", path=allow)
        self.file("x", path=deny)
        self.assertRaises(RdvError, lists.reload)
        self.file("x", path=allow)
        self.file(path=deny)
        self.assertRaises(RdvError, lists.reload)
        self.assert_served(lists, "192.0.2.1")

    def test_neither(self) -> None:
        """What looks like a network is none of a file."""
        for text, said in (
            ("10.0.0.0/33", "not a network such as 192.0.2.0/24 or 2001:db8::/32: '10.0.0.0/33'"),
            ("fe80::1%eth0", "cannot read fe80::1%eth0: No such file or directory"),
            ("./10.0.0.0", "cannot read ./10.0.0.0: No such file or directory"),
            ("/none", "cannot read /none: No such file or directory"),
        ):
            error: RdvError = self.assertRaises(RdvError, AddressLists, [text], [])
            self.assertEqual(str(error), said)
            error = self.assertRaises(RdvError, AddressLists, [], [text])
            self.assertEqual(str(error), said)

    def test_setting(self) -> None:
        for settings in (ServerSettings(deny=("192.0.2.1",)), ServerSettings(allow=("10.0.0.1",))):
            door = ServerDoor(None, settings)
            self.assertFalse(door.is_open(visitor()))
