"""
An acceptor's HELLO on a connection of which a NAT may only pass the first bytes.
"""

from __future__ import annotations

import gc

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, parse_ip
from rdv.client.candidates import acknowledgement
from rdv.client.candidates import candidate as candidate_module
from rdv.client.candidates.acknowledgement import may_be_half_dead
from rdv.client.candidates.candidate import Candidate
from rdv.test.client.doubles import ByteTransport
from rdv.test.doubles import Wire
from rdv.wire import Role

HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"

PUBLIC = IPv4Address("TCP", "203.0.113.9", 41000)
LOCAL = (
    IPv4Address("TCP", "192.168.7.2", 41000),
    IPv6Address("TCP", "fe80::7%eth0", 41000),
    IPv6Address("TCP", "::ffff:10.0.0.7", 41000),
)
NEAR, FAR = 0.005, 0.01

#: Seconds in which there is at least one check, however long the wait has lasted.
A_WHILE = 0.1
LONG = 1000.0


class HalfDeadTests(SynchronousTestCase):
    """Where a connection may be half-dead."""

    def test_possible(self) -> None:
        """Near, and behind a NAT, which a carrier's own network is too."""
        for host, possible in (
            *((host, True) for host in ("203.0.113.9", "2001:db8::7", "100.64.0.9")),
            *((host, False) for host in ("192.168.7.2", "fd00::7", "fe80::7", "127.0.0.1", "::1")),
        ):
            for trip in (0.0, 0.000_02, NEAR, 0.009_999, FAR, 3.0, None):
                self.patch(acknowledgement, "round_trip", lambda _, trip=trip: trip)
                found = may_be_half_dead(ByteTransport(), Address(parse_ip(host), 41000))
                self.assertEqual(found, possible and trip is not None and trip < FAR, (host, trip))


class HelloTestCase(SynchronousTestCase):
    """
    A candidate in memory. The test decides what the kernel reports.

    :ivar count: acknowledged bytes; None if the system does not report it.
    :ivar trip: the round trip, in seconds; None if the system does not report it.
    :ivar asked: the transports that were queried.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.count: int | None = 0
        self.trip: float | None = NEAR
        self.asked: list[object] = []
        for module in (acknowledgement, candidate_module):
            self.patch(module, "bytes_acknowledged", self._acknowledged)
        self.patch(acknowledgement, "round_trip", lambda _: self.trip)

    def _acknowledged(self, transport: object) -> int | None:
        self.asked.append(transport)
        return self.count

    def open(
        self,
        peer: IPv4Address | IPv6Address = PUBLIC,
        *,
        is_relay: bool = False,
        held: bool = False,
    ) -> Candidate:
        """A candidate on a connection that stands."""
        candidate = Candidate(self.clock, Role.ACCEPTOR, b"token", is_relay=is_relay, held=held)
        self.transport = ByteTransport(candidate, peer)
        self.transport.connect()
        return candidate

    @property
    def said(self) -> bytes:
        """All that it has said."""
        return bytes(self.transport.value())

    def assert_whole(self) -> None:
        """The whole line at once, and nothing later."""
        self.assertEqual(self.said, HELLO)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HelloTests(HelloTestCase):
    """What an acceptor sends, and when."""

    def test_rest_when_the_first_byte_is_acknowledged(self) -> None:
        """Soon, and after long too; it is the right transport that is asked about."""
        for waited in (0, 1, 10, 1000):
            self.count = 0
            self.open()
            self.clock.pump([A_WHILE] * waited)
            self.assertEqual(self.said, HELLO[:1])
            self.count = 1
            self.clock.advance(A_WHILE)
            self.assert_whole()
            self.assertEqual(set(self.asked), {self.transport})
            self.asked.clear()

    def test_looks(self) -> None:
        """A round trip on a LAN takes less than a millisecond; a long wait costs little."""
        self.open()
        self.count = 1
        self.clock.advance(0.001)
        self.assert_whole()
        self.count = 0
        self.open()
        self.asked.clear()
        self.clock.pump([0.001] * 10_000)
        self.assertIn(len(self.asked), range(150, 300))

    def test_what_was_acknowledged_before(self) -> None:
        """A SYN counts on some connections."""
        self.count = 1
        self.open()
        self.clock.advance(A_WHILE)
        self.assertEqual(self.said, HELLO[:1])
        self.count = 2
        self.clock.advance(A_WHILE)
        self.assert_whole()

    def test_goes_on_as_any_other(self) -> None:
        candidate = self.open()
        shaken = candidate.shaken()
        self.count = 1
        self.clock.advance(A_WHILE)
        self.transport.deliver(CONFIRM + b"data")
        self.assertIs(self.successResultOf(shaken), candidate)
        self.assertEqual(candidate.release(Wire()), b"data")

    def test_held(self) -> None:
        """Not even the first byte before the server has answered."""
        candidate = self.open(held=True)
        self.clock.advance(A_WHILE)
        self.assertEqual(self.said, b"")
        candidate.begin()
        self.assertEqual(self.said, HELLO[:1])

    def test_whole_line_where_no_nat_is_in_the_way(self) -> None:
        self.open(is_relay=True)
        self.assert_whole()
        for peer in LOCAL:
            self.open(peer)
            self.assert_whole()
        self.trip = FAR
        self.open()
        self.assert_whole()

    def test_whole_line_where_nothing_is_known(self) -> None:
        self.count = None
        for self.trip in (NEAR, None):
            self.open()
            self.assert_whole()


class EndTests(HelloTestCase):
    """The rest of HELLO is not sent any more."""

    def tearDown(self) -> None:
        del self.transport
        gc.collect()  # reports an unhandled error now

    def test_over(self) -> None:
        """Lost, ended by the peer, closed, chosen before, or something else was said."""
        for end in (self._lose, self._end, self._close, self._release, self._say_something_else):
            self.count = 0
            candidate = self.open()
            self.clock.advance(A_WHILE)
            end(candidate)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.count = 1
            self.clock.advance(LONG)
            self.assertEqual(self.said, HELLO[:1])

    def _lose(self, candidate: Candidate) -> None:
        self.transport.lose(ConnectionLost())

    def _end(self, candidate: Candidate) -> None:
        self.transport.end()

    def _close(self, candidate: Candidate) -> None:
        candidate.close()

    def _release(self, candidate: Candidate) -> None:
        """The peer knows the token already; what follows is the application's."""
        self.transport.deliver(CONFIRM)
        candidate.release(Wire())
        self.count = 1
        self.clock.advance(A_WHILE)

    def _say_something_else(self, candidate: Candidate) -> None:
        self.transport.deliver(b"GET / HTTP/1.1\r\n")
        self.assertEqual(self.transport.closing, "abort")
