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
from rdv.client.candidates.candidate import Candidate
from rdv.errors import ProtocolError
from rdv.test.client.doubles import ByteTransport, pieces
from rdv.test.doubles import Wire
from rdv.wire import Role

TOKEN = b"a token"
HELLO = b"rdv/1 HELLO a token\r\n"
CONFIRM = b"rdv/1 CONFIRM a token\r\n"
#: The line that a candidate of each role waits for.
AWAITED = {Role.DIALER: HELLO, Role.ACCEPTOR: CONFIRM}

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


class LineTests(SynchronousTestCase):
    """What is sent, and what is expected."""

    def test_interfaces(self) -> None:
        candidate, _ = opened(Role.DIALER)
        verifyObject(IProtocol, candidate)
        verifyObject(IHalfCloseableProtocol, candidate)

    def test_said(self) -> None:
        """HELLO at once by the acceptor, CONFIRM when it is chosen by the dialer."""
        for role, before, after in (
            (Role.ACCEPTOR, HELLO, HELLO),
            (Role.DIALER, b"", CONFIRM),
        ):
            candidate, transport = opened(role)
            transport.deliver(AWAITED[role])
            if role is Role.DIALER:
                candidate.begin()
            self.assertEqual(transport.value(), before)
            self.successResultOf(chosen(candidate))
            self.assertEqual(transport.value(), after)

    def test_lost_before_the_choice(self) -> None:
        for role in Role:
            candidate, transport = opened(role)
            transport.deliver(AWAITED[role])
            transport.clear()
            transport.lose(ConnectionLost())
            self.failureResultOf(chosen(candidate), ConnectionLost)
            self.assertEqual(transport.value(), b"")

    @given(ROLES, st.booleans(), st.binary(max_size=100), CUTS)
    def test_awaited(self, role: Role, asked: bool, behind: bytes, cuts: list[int]) -> None:
        """However it is split, whether or not anybody has asked yet; the rest is kept."""
        candidate, transport = opened(role)
        shaken = candidate.shaken() if asked else None
        transport.deliver(AWAITED[role][:-1])
        if shaken is not None:
            self.assertNoResult(shaken)
        transport.deliver(b"\n", *pieces(behind, cuts))
        self.assertIs(self.successResultOf(shaken or candidate.shaken()), candidate)
        self.assertEqual(transport.closing, "")
        self.assertNoResult(candidate.closed)
        self.assertEqual([candidate.release(Wire()) for _ in range(2)], [behind, b""])

    @given(ROLES, st.binary(min_size=1, max_size=100), CUTS)
    def test_anything_else(self, role: Role, data: bytes, cuts: list[int]) -> None:
        """The right line behind it does not count."""
        line = AWAITED[role]
        assume(not data.startswith(line) and not line.startswith(data))
        candidate, transport = opened(role)
        shaken = candidate.shaken()
        transport.deliver(*pieces(data, cuts), line)
        self.failureResultOf(shaken, ProtocolError)
        self.failureResultOf(candidate.shaken(), ProtocolError)
        self.assertEqual(transport.closing, "abort")

    def test_almost(self) -> None:
        """One's own line, and another token; of the relay, which is not reset for that, too."""
        for role in Role:
            for line in (AWAITED[role.other], AWAITED[role].replace(b"tok", b"kot")):
                for is_relay in (False, True):
                    candidate, transport = opened(role, is_relay=is_relay)
                    transport.deliver(line)
                    self.failureResultOf(candidate.shaken(), ProtocolError)
                    self.assertEqual(transport.closing, "close" if is_relay else "abort")

    def test_too_much_behind_it(self) -> None:
        candidate, transport = opened(Role.DIALER)
        transport.deliver(HELLO, bytes(60_000), bytes(5_536))
        self.assertEqual(transport.closing, "")
        self.assertEqual(len(candidate.release(Wire())), 65_536)
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
        shaken = candidate.shaken()
        self.assertEqual(transport.value(), b"")
        candidate.begin()
        self.assertEqual(transport.value(), HELLO)
        transport.deliver(CONFIRM)
        self.assertIs(self.successResultOf(shaken), candidate)

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


class ConnectionTests(SynchronousTestCase):
    """Properties and options of the connection."""

    def test_keep_alive(self) -> None:
        """One that is silent for long is not to be forgotten on its way."""
        with socket.socket() as sock:
            transport = ByteTransport(Candidate(Clock(), Role.DIALER, TOKEN))
            transport.handle = sock
            transport.connect()
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_peer_address(self) -> None:
        """As one knows it, be it mapped or with a zone."""
        for peer, expected in (
            (IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1"),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 5), "192.0.2.1"),
            (IPv6Address("TCP", "fe80::1%eth0", 5), "fe80::1"),
        ):
            candidate = Candidate(Clock(), Role.DIALER, TOKEN)
            ByteTransport(candidate, peer).connect()
            self.assertEqual(candidate.peer_address, Address(parse_ip(expected), 5))
