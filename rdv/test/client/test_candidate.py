"""
HELLO and CONFIRM on one connection.
"""

from __future__ import annotations

import socket

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv.addresses import Address, parse_ip
from rdv.client.candidate import Candidate
from rdv.errors import ProtocolError
from rdv.test.client.doubles import ByteTransport, pieces
from rdv.test.doubles import Wire
from rdv.wire import Role

TOKEN = b"a token"
HELLO = b"rdv/1 HELLO a token\r\n"
CONFIRM = b"rdv/1 CONFIRM a token\r\n"

ROLES = st.sampled_from(Role)
CUTS = st.lists(st.integers(0, 200), max_size=30)


def opened(
    role: Role, *, is_relay: bool = False, held: bool = False
) -> tuple[Candidate, ByteTransport]:
    """A candidate on a connection that stands."""
    candidate = Candidate(Clock(), role, TOKEN, is_relay=is_relay, held=held)
    transport = ByteTransport(candidate)
    transport.connect()
    return candidate, transport


def chosen(candidate: Candidate) -> Deferred[None]:
    """The candidate is chosen."""
    return Deferred.fromCoroutine(candidate.choose())


def awaited(role: Role) -> bytes:
    """The line that a candidate of this role waits for."""
    return HELLO if role is Role.DIALER else CONFIRM


class LineTests(SynchronousTestCase):
    """What is said and what is awaited."""

    def test_interfaces(self) -> None:
        candidate, _ = opened(Role.DIALER)
        verifyObject(IProtocol, candidate)
        verifyObject(IHalfCloseableProtocol, candidate)

    def test_acceptor_says_hello_when_open(self) -> None:
        _, transport = opened(Role.ACCEPTOR)
        self.assertEqual(transport.value(), HELLO)

    def test_dialer_says_nothing_when_open(self) -> None:
        candidate, transport = opened(Role.DIALER)
        candidate.begin()
        transport.deliver(HELLO)
        self.assertEqual(transport.value(), b"")

    def test_dialer_confirms(self) -> None:
        candidate, transport = opened(Role.DIALER)
        transport.deliver(HELLO)
        self.successResultOf(chosen(candidate))
        self.assertEqual(transport.value(), CONFIRM)

    def test_acceptor_does_not_confirm(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR)
        transport.deliver(CONFIRM)
        self.successResultOf(chosen(candidate))
        self.assertEqual(transport.value(), HELLO)

    def test_lost_before_the_choice(self) -> None:
        for role in Role:
            candidate, transport = opened(role)
            transport.deliver(awaited(role))
            transport.clear()
            transport.lose(ConnectionLost())
            self.failureResultOf(chosen(candidate), ConnectionLost)
            self.assertEqual(transport.value(), b"")

    def test_awaits_its_line(self) -> None:
        for role in Role:
            candidate, transport = opened(role)
            shaken = candidate.shaken()
            transport.deliver(awaited(role)[:-1])
            self.assertNoResult(shaken)
            transport.deliver(b"\n")
            self.assertIs(self.successResultOf(shaken), candidate)
            self.assertEqual(transport.closing, "")
            self.assertNoResult(candidate.closed)

    def test_line_before_anybody_asks(self) -> None:
        candidate, transport = opened(Role.DIALER)
        transport.deliver(HELLO)
        self.assertIs(self.successResultOf(candidate.shaken()), candidate)

    @given(ROLES, st.binary(max_size=100), CUTS)
    def test_split_anyhow(self, role: Role, behind: bytes, cuts: list[int]) -> None:
        candidate, transport = opened(role)
        shaken = candidate.shaken()
        transport.deliver(*pieces(awaited(role) + behind, cuts))
        self.assertIs(self.successResultOf(shaken), candidate)
        self.assertEqual(candidate.release(Wire()), behind)

    @given(ROLES, st.binary(min_size=1, max_size=100), CUTS)
    def test_anything_else(self, role: Role, data: bytes, cuts: list[int]) -> None:
        line = awaited(role)
        assume(not data.startswith(line) and not line.startswith(data))
        candidate, transport = opened(role)
        shaken = candidate.shaken()
        transport.deliver(*pieces(data, cuts))
        self.failureResultOf(shaken, ProtocolError)
        self.assertEqual(transport.closing, "abort")

    def test_its_own_line_is_something_else(self) -> None:
        for role in Role:
            candidate, transport = opened(role)
            transport.deliver(awaited(role.other))
            self.failureResultOf(candidate.shaken(), ProtocolError)

    def test_another_token(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR)
        transport.deliver(b"rdv/1 CONFIRM a tokem\r\n")
        self.failureResultOf(candidate.shaken(), ProtocolError)

    def test_only_the_one_that_spoke_is_closed(self) -> None:
        _, bad = opened(Role.ACCEPTOR)
        candidate, good = opened(Role.ACCEPTOR)
        shaken = candidate.shaken()
        bad.deliver(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual((bad.closing, good.closing), ("abort", ""))
        good.deliver(CONFIRM)
        self.assertIs(self.successResultOf(shaken), candidate)

    def test_right_line_after_a_wrong_one_does_not_count(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR)
        shaken = candidate.shaken()
        transport.deliver(b"?", CONFIRM)
        self.failureResultOf(shaken, ProtocolError)
        self.failureResultOf(candidate.shaken(), ProtocolError)

    def test_relay_is_not_reset_for_a_wrong_line(self) -> None:
        _, transport = opened(Role.DIALER, is_relay=True)
        transport.deliver(b"?")
        self.assertEqual(transport.closing, "close")


class EarlyDataTests(SynchronousTestCase):
    """What comes behind the line and before the choice."""

    def test_kept_in_order(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR)
        transport.deliver(CONFIRM + b"one ", b"two ", b"three")
        self.assertEqual(candidate.release(Wire()), b"one two three")

    def test_handed_out_once(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR)
        transport.deliver(CONFIRM + b"data")
        candidate.release(Wire())
        self.assertEqual(candidate.release(Wire()), b"")

    def test_as_much_as_allowed(self) -> None:
        candidate, transport = opened(Role.DIALER)
        transport.deliver(HELLO, bytes(60_000), bytes(5_536))
        self.assertEqual(transport.closing, "")
        self.assertEqual(len(candidate.release(Wire())), 65_536)

    def test_too_much(self) -> None:
        candidate, transport = opened(Role.DIALER)
        transport.deliver(HELLO)
        staying = candidate.stays(9)
        transport.deliver(bytes(60_000), bytes(5_537))
        self.failureResultOf(staying, ProtocolError)
        self.assertEqual(transport.closing, "abort")

    def test_what_comes_after_the_end_is_not_collected(self) -> None:
        candidate, transport = opened(Role.DIALER)
        transport.deliver(HELLO)
        candidate.close()
        transport.deliver(b"more")
        self.assertEqual(candidate.release(Wire()), b"")


class HeldTests(SynchronousTestCase):
    """An acceptor's candidate that was connected before the server answered."""

    def test_says_nothing_before_begin(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR, held=True)
        self.assertEqual(transport.value(), b"")
        candidate.begin()
        self.assertEqual(transport.value(), HELLO)

    def test_begin_before_the_connection(self) -> None:
        candidate = Candidate(Clock(), Role.ACCEPTOR, TOKEN, held=True)
        candidate.begin()
        transport = ByteTransport(candidate)
        transport.connect()
        self.assertEqual(transport.value(), HELLO)

    def test_must_be_silent(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR, held=True)
        shaken = candidate.shaken()
        transport.deliver(CONFIRM)
        self.failureResultOf(shaken, ProtocolError)
        self.assertEqual(transport.closing, "abort")
        candidate.begin()
        self.assertEqual(transport.value(), b"")

    def test_lost_before_begin(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR, held=True)
        transport.lose(ConnectionLost())
        candidate.begin()
        self.assertEqual(transport.value(), b"")
        self.failureResultOf(candidate.shaken(), ConnectionLost)

    def test_goes_on_as_any_other(self) -> None:
        candidate, transport = opened(Role.ACCEPTOR, held=True)
        shaken = candidate.shaken()
        candidate.begin()
        transport.deliver(CONFIRM)
        self.assertIs(self.successResultOf(shaken), candidate)


class KeepAliveTests(SynchronousTestCase):
    """A connection that is silent for long is not to be forgotten on its way."""

    def test_turned_on(self) -> None:
        with socket.socket() as sock:
            transport = ByteTransport(Candidate(Clock(), Role.DIALER, TOKEN))
            transport.handle = sock
            transport.connect()
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


class PeerAddressTests(SynchronousTestCase):
    """Where the other end is."""

    def assert_address(self, peer: IPv4Address | IPv6Address, expected: str) -> None:
        candidate = Candidate(Clock(), Role.DIALER, TOKEN)
        ByteTransport(candidate, peer).connect()
        self.assertEqual(candidate.peer_address, Address(parse_ip(expected), peer.port))

    def test_ipv4(self) -> None:
        self.assert_address(IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1")

    def test_mapped(self) -> None:
        self.assert_address(IPv6Address("TCP", "::ffff:192.0.2.1", 5), "192.0.2.1")

    def test_zone(self) -> None:
        self.assert_address(IPv6Address("TCP", "fe80::1%eth0", 5), "fe80::1")
