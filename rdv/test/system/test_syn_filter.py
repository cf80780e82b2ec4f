"""
SYNs that a listener leaves unanswered.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.syn_filter import filter_program, ignore_syns
from rdv.addresses import Address, parse_address
from rdv.test.client.loopback import has_ipv6

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
#: Where the kernel shows a filter the IP header of a packet.
NETWORK = 0xFFF00000

PEER = parse_address("203.0.113.9:41000")
PEER6 = parse_address("[2001:db8::7]:41000")

PORTS = st.one_of(st.sampled_from((41000, 41001)), st.integers(0, 0xFFFF))
# Few of them are alike by chance, so most are alike on purpose.
IPS = st.one_of(
    st.sampled_from((PEER.ip, PEER6.ip)),
    st.builds(IPv4Address, st.integers(0, 0xFFFFFFFF)),
    st.builds(IPv6Address, st.integers(0, (1 << 128) - 1)),
    st.builds(lambda place: IPv6Address(int(PEER6.ip) ^ 1 << place), st.integers(0, 127)),
    st.builds(lambda place: IPv4Address(int(PEER.ip) ^ 1 << place), st.integers(0, 31)),
)
ADDRESSES = st.builds(Address, IPS, PORTS)


def packet(source: Address, flags: int) -> tuple[bytes, bytes]:
    """The IP header of a packet, and what follows."""
    ip = source.ip
    if isinstance(ip, IPv4Address):
        # version, length, service, ...; time to live, protocol, checksum
        head = struct.pack("!BBHHHBBH", 0x45, 0xFF, 40, 7, 0, 64, 6, 0xFFFF) + ip.packed
        head += bytes((192, 0, 2, 1))
    else:
        head = struct.pack("!IHBB", 0x6F0FFFFF, 20, 6, 64) + ip.packed + bytes(16)
    return head, struct.pack("!HHIIBBHHH", source.port, 40000, 7, 0, 0x50, flags, 9, 9, 0)


def run(program: Collection[tuple[int, int, int, int]], head: bytes, data: bytes) -> int:
    """What the kernel makes of a program: how many bytes of the packet are let through."""
    instructions = list(program)
    place = accumulator = 0
    while True:
        code, if_true, if_false, operand = instructions[place]
        place += 1
        if code == 0x06:
            return operand
        if code in (0x20, 0x28, 0x30):
            size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
            start, source = (operand - NETWORK, head) if operand >= NETWORK else (operand, data)
            loaded = source[start : start + size]
            if len(loaded) < size:
                return 0  # as the kernel has it
            accumulator = int.from_bytes(loaded, "big")
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x74:
            accumulator >>= operand
        elif code == 0x15:
            place += if_true if accumulator == operand else if_false
        else:
            raise AssertionError(f"an unknown instruction: {code:#x}")


def passes(ignored: Collection[Address], source: Address, flags: int = SYN) -> bool:
    """Whether a packet gets through; as a whole, or not at all."""
    program = filter_program((address, None) for address in ignored)
    let_through = run(program, *packet(source, flags))
    if let_through not in (0, 0xFFFFFFFF):
        raise AssertionError("the packet was cut")
    return let_through > 0


class ProgramTests(SynchronousTestCase):
    """The program, in an interpreter of our own."""

    def test_same_bits_in_the_other_version(self) -> None:
        """An IPv6 address whose first bytes lie where an IPv4 header has its source."""
        for source in (f"[0:0:{0xCB00:x}:{0x7109:x}::]:41000", "[cb00:7109::]:41000"):
            self.assertTrue(passes([PEER], parse_address(source)))
        self.assertTrue(passes([parse_address("[::]:41000")], parse_address("0.0.0.0:41000")))

    def test_destination(self) -> None:
        """Only what comes to the address from which we dial; :func:`packet` says where it goes."""
        here, here6 = IPv4Address("192.0.2.1"), IPv6Address(0)
        elsewhere, elsewhere6 = IPv4Address("192.0.2.2"), IPv6Address(1)
        for peer, ours, other in ((PEER, here, elsewhere), (PEER6, here6, elsewhere6)):
            self.assertEqual(run(filter_program([(peer, ours)]), *packet(peer, SYN)), 0)
            self.assertGreater(run(filter_program([(peer, other)]), *packet(peer, SYN)), 0)

    def test_other_packets(self) -> None:
        """The answer to our own SYN, and all that belongs to a connection; not a SYN with ECN."""
        for flags in (SYN | ACK, ACK, RST, RST | ACK, FIN | ACK, PSH | ACK, 0):
            self.assertTrue(passes([PEER], PEER, flags), flags)
        self.assertFalse(passes([PEER], PEER, SYN | 0xC0))

    @given(st.lists(ADDRESSES, max_size=20), ADDRESSES, st.integers(0, 0xFF))
    def test_any(self, ignored: list[Address], source: Address, flags: int) -> None:
        dropped = source in ignored and flags & (SYN | ACK) == SYN
        self.assertEqual(passes(ignored, source, flags), not dropped)

    @given(st.lists(ADDRESSES, min_size=1, max_size=20), st.data())
    def test_any_that_is_ignored(self, ignored: list[Address], data: st.DataObject) -> None:
        self.assertFalse(passes(ignored, data.draw(st.sampled_from(ignored))))

    def test_size(self) -> None:
        """The kernel takes 4096 instructions; a jump goes 255 far."""
        program = filter_program([(PEER6, PEER6.ip)] * 100)
        self.assertLess(len(program), 4096)
        self.assertLess(max(max(each[1:3]) for each in program), 256)


class SocketTests(SynchronousTestCase):
    """On loopback."""

    if sys.platform != "linux":
        skip = "only Linux has such filters"

    def listener(self, interface: str = "127.0.0.1") -> socket.socket:
        """A socket that listens."""
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        dual = interface == "::"
        sock = socket.create_server((interface, 0), family=family, dualstack_ipv6=dual)
        self.addCleanup(sock.close)
        sock.settimeout(10)
        return sock

    def client(self, host: str = "127.0.0.1") -> socket.socket:
        """A socket with a port, which connects without waiting."""
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.addCleanup(sock.close)
        sock.bind((host, 0))
        sock.setblocking(False)
        return sock

    def connect(self, client: socket.socket, listener: socket.socket) -> None:
        """Send the SYN; on loopback its answer, if there is one, has come when this returns."""
        host = client.getsockname()[0]
        code = client.connect_ex((host, listener.getsockname()[1]))
        self.assertIn(code, (0, errno.EINPROGRESS))

    def established(self, client: socket.socket) -> bool:
        """Whether it is connected by now."""
        _, writable, _ = select.select([], [client], [], 0)
        return bool(writable) and client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def assert_ignored(
        self, listener: socket.socket, ignored: socket.socket, other: socket.socket
    ) -> None:
        """The first one gets no answer, not even when one that comes after it was let in."""
        address = own(ignored)
        self.assertTrue(ignore_syns(listener, [address]))
        self.connect(ignored, listener)
        self.connect(other, listener)
        accepted, peer = listener.accept()
        with accepted:
            self.assertEqual(peer[1], other.getsockname()[1])
        _, writable, _ = select.select([], [other], [], 10)
        self.assertEqual(writable, [other])
        self.assertFalse(self.established(ignored))

    def test_one_of_two(self) -> None:
        """To a dual-stack listener an IPv4 client comes as an IPv4 packet."""
        cases = [("127.0.0.1",) * 3]
        if has_ipv6():
            cases += [("::1",) * 3]
            cases += [("::", "127.0.0.1", other) for other in ("127.0.0.1", "::1")]
            cases += [("::", "::1", "127.0.0.1")]
        for listening, ignored, other in cases:
            self.assert_ignored(self.listener(listening), self.client(ignored), self.client(other))

    def test_others_replace_them(self) -> None:
        listener, first, second = self.listener(), self.client(), self.client()
        ignore_syns(listener, [own(first)])
        self.assert_ignored(listener, second, first)

    def test_detached(self) -> None:
        """As often as anybody likes; then everybody gets in."""
        listener, client = self.listener(), self.client()
        self.assertTrue(ignore_syns(listener, []))
        self.assertTrue(ignore_syns(listener, [own(client)]))
        self.assertTrue(ignore_syns(listener, []))
        self.connect(client, listener)
        accepted, _ = listener.accept()
        accepted.close()

    def test_as_many_as_an_attempt_may_have(self) -> None:
        addresses = [Address(ip, 1024 + n) for n in range(50) for ip in (PEER.ip, PEER6.ip)]
        self.assertTrue(ignore_syns(self.listener(), addresses))


def own(sock: socket.socket) -> Address:
    """Where it is bound."""
    host, port = sock.getsockname()[:2]
    return parse_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


class _Refusing(socket.socket):
    def setsockopt(self, *args: object) -> None:
        raise OSError(errno.ENOPROTOOPT, "no")


class WithoutTests(SynchronousTestCase):
    """Systems without such filters."""

    def test_not_done(self) -> None:
        """It says so, and nothing else happens."""
        self.assertFalse(ignore_syns(None, [PEER]))
        self.assertFalse(ignore_syns(None, []))
        with _Refusing() as sock:
            self.assertFalse(ignore_syns(sock, [PEER]))
        self.patch(sys, "platform", "darwin")
        with _Untouchable() as sock:
            self.assertFalse(ignore_syns(sock, [PEER]))


class _Untouchable(socket.socket):
    def setsockopt(self, *args: object) -> None:
        raise AssertionError("the numbers mean something else there")
