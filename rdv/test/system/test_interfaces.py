"""The addresses of the interfaces: netlink on Linux, ``ifaddr`` elsewhere."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rdv._system.interfaces import (
    InterfaceAddress,
    from_ifaddr,
    from_netlink,
    interface_addresses,
)
from rdv.addresses import AddressSpace, parse_ip, space_of

LINK, ADDRESS, DONE, ERROR = 16, 20, 3, 2  # what the kernel answers with
UP, RUNNING = 0x1, 0x10000


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute of a message, padded as the kernel does."""
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    """One netlink message."""
    return struct.pack("=IHHII", len(body) + 16, kind, 2, 1, 77) + body


def link(index: int, flags: int = UP | RUNNING, kind: bytes | None = None) -> bytes:
    """An interface, with an attribute of odd length before the one that says what it is."""
    body = struct.pack("=BBHiII", 0, 0, 1, index, flags, 0) + attribute(3, b"eth0\0")
    if kind is not None:
        # The kernel marks what holds attributes itself, or does not.
        info = attribute(1, kind + b"\0") + attribute(2, bytes(12))
        body += attribute(18 | (0x8000 if index % 2 else 0), info)
    return message(LINK, body)


def address(
    index: int, ip: str, *, flags: int = 0, local: str | None = None, prefix: int = 24
) -> bytes:
    """An address of an interface."""
    packed = parse_ip(ip).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = struct.pack("=BBBBI", family, prefix, flags, 0, index) + attribute(1, packed)
    if local is not None:
        body += attribute(2, parse_ip(local).packed)
    return message(ADDRESS, body + attribute(6, bytes(16)))


class FakeNetlink:
    """A netlink socket; what is received depends on what was asked for."""

    def __init__(self, answers: dict[int, list[bytes]]) -> None:
        self._answers = answers
        self._coming: list[bytes] = []
        self.asked: list[int] = []
        self.open = 0

    def __call__(self, family: int, kind: int, protocol: int) -> FakeNetlink:
        assert (family, protocol) == (16, 0), "netlink, routing"
        return self

    def send(self, request: bytes) -> None:
        """See ``socket``."""
        length, what, flags, _, _ = struct.unpack_from("=IHHII", request)
        assert length == len(request), "one whole request"
        assert flags == 0x301, "a request for all"
        self.asked.append(what)
        self._coming = list(self._answers[what])

    def recv(self, size: int) -> bytes:
        """See ``socket``."""
        answer = self._coming.pop(0)
        assert len(answer) <= size, "the rest would be lost"
        return answer

    def __enter__(self) -> FakeNetlink:
        self.open += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self.open -= 1


class NetlinkTests(SynchronousTestCase):
    """``from_netlink``."""

    def listed(self, links: list[bytes], addresses: list[bytes]) -> list[InterfaceAddress]:
        """What it makes of answers, each the messages of one ``recv``."""
        done = [message(DONE, bytes(4))]
        fake = FakeNetlink({18: links + done, 22: addresses + done})
        self.patch(socket, "socket", fake)
        result = list(from_netlink())
        self.assertEqual((fake.asked, fake.open), ([18, 22], 0))
        return result

    def test_plain(self) -> None:
        """The end may come with the messages, or by itself."""
        ips = ("127.0.0.1", "192.168.1.16", "2001:db8::7")
        first, *others = (address(1 + (n > 0), ip) for n, ip in enumerate(ips))
        for end in (b"", message(DONE, bytes(4))):
            found = self.listed([link(1) + link(2) + end], [first, b"".join(others) + end])
            self.assertEqual(found, [InterfaceAddress(parse_ip(ip)) for ip in ips])

    def test_bridges(self) -> None:
        """A dead one is dead, whatever else it is."""
        kinds = {1: b"bridge", 2: b"bridge", 3: b"veth", 4: None, 5: b"bridge_slave"}
        links = [link(index, kind=kind) for index, kind in kinds.items()]
        addresses = [address(index, f"10.0.0.{index}") for index in (*kinds, 6)]
        found = self.listed([b"".join([*links, link(6, UP, kind=b"bridge")])], addresses)
        self.assertEqual([each.bridge for each in found], [True, True] + [False] * 4)
        self.assertEqual([each.carrier for each in found], [True] * 5 + [False])

    def test_down(self) -> None:
        """
        Left out, even with a cable plugged in, as one that came between the two questions is.
        """
        links = [link(1, 0) + link(2, RUNNING) + link(3)]
        addresses = [b"".join(address(index, f"10.0.0.{index}") for index in (1, 2, 3, 4))]
        found = self.listed(links, addresses)
        self.assertEqual([str(each.ip) for each in found], ["10.0.0.3"])

    def test_point_to_point(self) -> None:
        (tunnel,) = self.listed([link(1)], [address(1, "10.8.0.1", local="10.8.0.2", prefix=32)])
        self.assertEqual(str(tunnel.ip), "10.8.0.2")

    def test_flags_of_addresses(self) -> None:
        """Deprecated ones are marked, duplicates left out; nothing else matters."""
        flags = {"2001:db8::1": 0x20, "2001:db8::2": 0x08 | 0x40, "2001:db8::3": 0x40 | 0x81}
        addresses = [address(1, ip, flags=value) for ip, value in flags.items()]
        found = [(str(each.ip), each.deprecated) for each in self.listed([link(1)], addresses)]
        self.assertEqual(found, [("2001:db8::1", True), ("2001:db8::3", False)])

    def test_refused(self) -> None:
        refusal = message(ERROR, struct.pack("=i", -errno.EPERM) + bytes(16))
        fake = FakeNetlink({18: [refusal]})
        self.patch(socket, "socket", fake)
        error = self.assertRaises(PermissionError, list, from_netlink())
        self.assertEqual((error.errno, fake.open), (errno.EPERM, 0))


def adapter(*ips: str | tuple[str, int, int]) -> SimpleNamespace:
    """An interface as ``ifaddr`` has it: IPv4 as text, IPv6 as (text, flow info, scope)."""
    return SimpleNamespace(ips=[SimpleNamespace(ip=ip) for ip in ips])


class IfaddrTests(SynchronousTestCase):
    """``from_ifaddr``."""

    def setUp(self) -> None:
        fake = ModuleType("ifaddr")
        fake.get_adapters = lambda: [  # type: ignore[attr-defined]
            adapter("127.0.0.1", ("::1", 0, 0)),
            adapter(("fe80::1%eth0", 0, 2), "192.168.1.16", ("2001:db8::7", 0, 0)),
        ]
        patched = patch.dict(sys.modules, ifaddr=fake)
        patched.start()
        self.addCleanup(patched.stop)
        self.found = [
            InterfaceAddress(parse_ip(ip))
            for ip in ("127.0.0.1", "::1", "fe80::1", "192.168.1.16", "2001:db8::7")
        ]

    def test_order_and_zones(self) -> None:
        """In its order, and with nothing said against any of them: for other systems."""
        self.patch(sys, "platform", "darwin")
        self.assertEqual(interface_addresses(), self.found)


class ThisHostTests(SynchronousTestCase):
    """The real thing."""

    def test_loopback(self) -> None:
        spaces = [space_of(each.ip) for each in interface_addresses()]
        self.assertIn(AddressSpace.LOOPBACK, spaces)

    def test_nothing_that_the_library_does_not_see(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("there is one way only on this system")
        every = {each.ip for each in from_ifaddr()}
        self.assertLessEqual({each.ip for each in from_netlink()}, every)
