"""Own addresses: the useful ones first, and routes."""

from __future__ import annotations

import errno
import os
import socket
from importlib import import_module
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.interfaces import InterfaceAddress, route_to
from rdv.addresses import Address, AddressSpace, parse_ip, space_of
from rdv.client import Client
from rdv.client import client as client_module
from rdv.client.reach.self_addresses import own_addresses, ranked
from rdv.test.client.doubles import ClientReactor
from rdv.testing import MemoryRendezvous
from rdv.wire import MAX_SELF_ADDRESSES

IP = IPv4Address | IPv6Address

#: Not by its dotted name, which may be that of the function.
module = import_module(own_addresses.__module__)


def known(text: str, **what: bool) -> InterfaceAddress:
    """An address, by default of a plain interface that works."""
    return InterfaceAddress(parse_ip(text), **what)


def order(*addresses: InterfaceAddress, sources: str = "") -> str:
    """What ``ranked`` makes of them, as text."""
    return " ".join(map(str, ranked(addresses, [parse_ip(text) for text in sources.split()])))


ips = st.ip_addresses().filter(lambda ip: getattr(ip, "ipv4_mapped", None) is None)
special = "192.168.1.2", "fd00::1", "169.254.1.1", "fe80::1", "127.0.0.1", "::1"
everywhere = ips | st.sampled_from([parse_ip(ip) for ip in special])
interfaces = st.builds(InterfaceAddress, everywhere, st.booleans(), st.booleans(), st.booleans())


class RankedTests(SynchronousTestCase):
    """``ranked``."""

    def test_each_kind_in_its_place(self) -> None:
        """A public bridge is public: a server's own address is often that of a bridge."""
        for kinds in (
            [
                known("198.51.100.1", bridge=True),
                known("192.168.1.1"),
                known("172.17.0.1", bridge=True),
                known("2001:db8::1", deprecated=True),
                known("203.0.113.1", carrier=False, bridge=True),
                known("169.254.0.1"),
                known("127.0.0.1", carrier=False),
            ],
            [
                known("2001:db8::1"),
                known("fd00::1"),
                known("fd00::2", bridge=True),
                known("fd00::3", deprecated=True),
                known("2001:db8::2", carrier=False),
                known("fe80::1"),
                known("::1"),
            ],
        ):
            wanted = " ".join(str(each.ip) for each in kinds)
            self.assertEqual(order(*kinds), wanted)
            self.assertEqual(order(*reversed(kinds)), wanted)

    def test_order_is_kept_among_equals(self) -> None:
        equal = "10.0.0.9 192.168.1.1 10.0.0.1 fd00::1 172.16.0.1"
        self.assertEqual(order(*map(known, equal.split())), equal)

    def test_sources_come_first(self) -> None:
        """Whatever else is known of them: the kernel would use them."""
        dead = known("192.168.1.16", carrier=False)
        addresses = (known("198.51.100.1"), dead, known("2001:db8::7", deprecated=True))
        self.assertEqual(
            order(*addresses, sources="192.168.1.16 2001:db8::7 10.9.9.9"),
            "192.168.1.16 2001:db8::7 10.9.9.9 198.51.100.1",
        )

    def test_no_address_twice(self) -> None:
        """The better of its places counts."""
        twice = known("10.0.0.1", bridge=True), known("10.0.0.2"), known("10.0.0.1")
        self.assertEqual(order(*twice), "10.0.0.2 10.0.0.1")
        self.assertEqual(order(*twice, sources="10.0.0.1 10.0.0.1"), "10.0.0.1 10.0.0.2")

    def test_of_no_use(self) -> None:
        """
        Nobody is behind an interface without a carrier, and no router sends anything for it but
        what is public; and some addresses are nobody's.
        """
        for ip in ("10.0.0.1", "fd00::1", "169.254.0.1", "fe80::1"):
            self.assertEqual(order(known(ip, carrier=False)), "")
        for ip in ("0.0.0.0", "::", "224.0.0.1", "ff02::1"):
            self.assertEqual(order(known(ip)), "")

    def test_laptop_with_living_bridges(self) -> None:
        """They do not displace what other hosts can reach."""
        bridges = [known(f"172.{n}.0.1", bridge=True) for n in range(17, 29)]
        others = [known("192.168.1.16"), *bridges, known("10.8.0.2"), known("fd00::7")]
        told = order(*others, sources="192.168.2.3 2001:db8::7").split()[:MAX_SELF_ADDRESSES]
        for ip in ("192.168.2.3", "2001:db8::7", "192.168.1.16", "10.8.0.2", "fd00::7"):
            self.assertIn(ip, told)

    @given(st.lists(interfaces), st.lists(everywhere, max_size=2))
    def test_any(self, addresses: list[InterfaceAddress], sources: list[IP]) -> None:
        result = ranked(addresses, sources)
        self.assertEqual(len(result), len(set(result)))
        first = list(dict.fromkeys(sources))
        self.assertEqual(result[: len(first)], first)
        self.assertLessEqual(set(result), {*sources, *(each.ip for each in addresses)})
        self.assertLessEqual(
            {each.ip for each in addresses if space_of(each.ip) and each.carrier}, set(result)
        )


class OwnAddressesTests(SynchronousTestCase):
    """``own_addresses``."""

    def here(self, *addresses: InterfaceAddress, **routes: str | None) -> None:
        def route(ip: IP) -> IP | None:
            text = routes.get(f"v{ip.version}")
            return parse_ip(text) if text else None

        self.patch(module, "interface_addresses", lambda: list(addresses))
        self.patch(module, "route_to", route)

    def test_port_and_order(self) -> None:
        self.here(known("127.0.0.1"), known("10.0.0.1"), v4="10.0.0.2", v6="2001:db8::7")
        self.assertEqual(
            list(map(str, own_addresses(4000))),
            ["10.0.0.2:4000", "[2001:db8::7]:4000", "10.0.0.1:4000", "127.0.0.1:4000"],
        )

    def test_no_way_to_the_internet(self) -> None:
        self.here(known("127.0.0.1"), known("10.0.0.1"))
        self.assertEqual(list(map(str, own_addresses(1))), ["10.0.0.1:1", "127.0.0.1:1"])

    def test_interfaces_cannot_be_listed(self) -> None:
        """As in a sandbox; what the routes say is left."""

        def forbidden() -> list[InterfaceAddress]:
            raise PermissionError(errno.EACCES, "no")

        self.here(v4="10.0.0.2")
        self.patch(module, "interface_addresses", forbidden)
        self.assertEqual(own_addresses(7), [Address(IPv4Address("10.0.0.2"), 7)])

    def test_this_host(self) -> None:
        """The real thing yields the address of loopback on every host, and nothing after it."""
        spaces = [space_of(address.ip) for address in own_addresses(4000)]
        self.assertEqual(spaces[-1], AddressSpace.LOOPBACK)
        self.assertEqual(spaces, [*filter(_no_loopback, spaces), *filter(_loopback, spaces)])

    def test_probes_are_in_the_internet(self) -> None:
        """One of each family; not an address that is somewhere else on some network."""
        spaces = AddressSpace.PUBLIC4, AddressSpace.PUBLIC6
        self.assertEqual(tuple(space_of(ip) for ip in module._FAR), spaces)
        self.assertTrue(all(ip.is_global for ip in module._FAR))

    def test_default_of_a_client(self) -> None:
        """Unless the reactor knows better."""
        asked: list[int] = []

        def addresses(port: int) -> list[Address]:
            asked.append(port)
            return []

        self.patch(client_module, "own_addresses", addresses)
        for reactor in (ClientReactor({"example.test": []}), MemoryRendezvous().host()):
            dialling = Client(reactor).dial("http://example.test", "token")
            dialling.addErrback(lambda _: None)
        self.assertEqual(asked, [ClientReactor.number])


def _loopback(space: AddressSpace) -> bool:
    return space is AddressSpace.LOOPBACK


def _no_loopback(space: AddressSpace) -> bool:
    return space is not AddressSpace.LOOPBACK


class FakeSocket:
    """
    A socket that knows one source address, or fails.

    :cvar source: of every route.
    :cvar failing: the name of a method, and what it raises.
    :cvar calls: all calls to sockets of this class.
    """

    source = "192.0.2.1"
    failing: tuple[str, int] = ("", 0)
    calls: ClassVar[list[tuple[object, ...]]] = []

    def __init__(self, family: int, kind: int) -> None:
        self._does("socket", family, kind)

    def _does(self, name: str, *arguments: object) -> None:
        self.calls.append((name, *arguments))
        if self.failing[0] == name:
            raise OSError(self.failing[1], os.strerror(self.failing[1]))

    def connect(self, address: tuple[str, int]) -> None:
        """See ``socket``."""
        self._does("connect", *address)

    def getsockname(self) -> tuple[str, int]:
        """See ``socket``."""
        self._does("getsockname")
        return self.source, 40000

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._does("close")


class RouteTests(SynchronousTestCase):
    """``route_to``."""

    def fake(self, source: str = "192.0.2.1", failing: tuple[str, int] = ("", 0)) -> None:
        self.patch(FakeSocket, "source", source)
        self.patch(FakeSocket, "failing", failing)
        self.patch(FakeSocket, "calls", [])
        self.patch(socket, "socket", FakeSocket)

    def test_connects_a_datagram_socket(self) -> None:
        """Which sends nothing."""
        for to, source, family in (
            ("198.51.100.1", "192.0.2.1", socket.AF_INET),
            ("2001:db8::1", "2001:db8::7", socket.AF_INET6),
        ):
            self.fake(source)
            self.assertEqual(route_to(parse_ip(to)), parse_ip(source))
            opened, connected, *rest = FakeSocket.calls
            self.assertEqual(opened, ("socket", family, socket.SOCK_DGRAM))
            self.assertEqual(connected[:2], ("connect", to))
            self.assertNotEqual(connected[2], 0)  # some systems refuse port 0
            self.assertEqual(rest, [("getsockname",), ("close",)])

    def test_no_way(self) -> None:
        for number in (
            errno.ENETUNREACH,
            errno.EHOSTUNREACH,
            errno.EADDRNOTAVAIL,
            errno.EACCES,
            errno.EINVAL,
            errno.EPERM,
        ):
            self.fake(failing=("connect", number))
            self.assertIsNone(route_to(parse_ip("2001:db8::1")))
            self.assertEqual(FakeSocket.calls[-1], ("close",))

    def test_family_that_the_host_lacks(self) -> None:
        self.fake(failing=("socket", errno.EAFNOSUPPORT))
        self.assertIsNone(route_to(parse_ip("2001:db8::1")))

    def test_way_without_source(self) -> None:
        """A route through an interface on a host that has no address."""
        self.fake("0.0.0.0")
        self.assertIsNone(route_to(parse_ip("198.51.100.1")))

    def test_this_host(self) -> None:
        loopback = IPv4Address("127.0.0.1")
        self.assertEqual(route_to(loopback), loopback)
        # There is no route for TCP to a broadcast address, or to a link-local address without its
        # link.
        self.assertIsNone(route_to(IPv4Address("255.255.255.255")))
        self.assertIsNone(route_to(IPv6Address("fe80::1")))
