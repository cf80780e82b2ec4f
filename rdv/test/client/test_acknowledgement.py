"""
An acceptor's HELLO where a NAT may let its first bytes through, and no more.
"""

from __future__ import annotations

import gc

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, parse_ip
from rdv.client import acknowledgement
from rdv.client import candidate as candidate_module
from rdv.client.acknowledgement import acknowledged, may_be_half_dead
from rdv.client.candidate import Candidate
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

#: Seconds in which it is looked at least once, however long it has been waited for.
A_WHILE = 0.1
LONG = 1000.0


class AcknowledgementTestCase(SynchronousTestCase):
    """
    What the system knows is the test's.

    :ivar count: of bytes acknowledged; None where the system does not tell.
    :ivar trip: seconds of the round trip; None where the system does not tell.
    :ivar asked: about which transports.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.count: int | None = 0
        self.trip: float | None = NEAR
        self.asked: list[object] = []
        for module in (acknowledgement, candidate_module):
            self.patch(module, "bytes_acknowledged", self._acknowledged)
        self.patch(acknowledgement, "round_trip", self._round_trip)

    def _acknowledged(self, transport: object) -> int | None:
        self.asked.append(transport)
        return self.count

    def _round_trip(self, transport: object) -> float | None:
        self.asked.append(transport)
        return self.trip

    def assert_no_calls(self) -> None:
        """Nothing waits any more."""
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AcknowledgedTests(AcknowledgementTestCase):
    """The waiting alone."""

    def wait(self, count: int) -> Deferred[None]:
        """Wait for ``count`` bytes."""
        self.transport = ByteTransport()
        return acknowledged(self.clock, self.transport, count)

    def test_already(self) -> None:
        self.count = 7
        for wanted in (0, 6, 7):
            self.successResultOf(self.wait(wanted))
        self.assert_no_calls()

    def test_later(self) -> None:
        """Soon, and after long too; it is the right transport that is asked about."""
        for waited in (0, 1, 10, 1000):
            self.count = 6
            waiting = self.wait(7)
            self.clock.pump([A_WHILE] * waited)
            self.assertNoResult(waiting)
            self.count = 7
            self.clock.advance(A_WHILE)
            self.successResultOf(waiting)
            self.assertEqual(set(self.asked), {self.transport})
            self.assert_no_calls()
            self.asked.clear()

    def test_first_look(self) -> None:
        """A round trip on a LAN takes less than a millisecond."""
        waiting = self.wait(1)
        self.count = 1
        self.clock.advance(0.001)
        self.successResultOf(waiting)

    def test_looks_are_few(self) -> None:
        """Whoever waits for long does not keep the processor busy."""
        self.wait(1)
        self.clock.pump([0.001] * 10_000)
        self.assertLess(len(self.asked), 300)

    def test_system_that_does_not_tell(self) -> None:
        self.count = None
        self.successResultOf(self.wait(7))
        self.assert_no_calls()

    def test_connection_gone(self) -> None:
        """Nothing is known of it any more."""
        waiting = self.wait(7)
        self.count = None
        self.clock.advance(A_WHILE)
        self.successResultOf(waiting)
        self.assert_no_calls()

    def test_cancelled(self) -> None:
        for waited in (0.0, A_WHILE):
            waiting = self.wait(7)
            self.clock.advance(waited)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.assert_no_calls()


class HalfDeadTests(AcknowledgementTestCase):
    """Where there may be such a connection."""

    def possible(self, host: str = "203.0.113.9") -> bool:
        """Whether there may."""
        return may_be_half_dead(ByteTransport(), Address(parse_ip(host), 41000))

    def test_near(self) -> None:
        for self.trip in (0.0, 0.000_02, NEAR, 0.009_999):
            self.assertTrue(self.possible())
            self.assertTrue(self.possible("2001:db8::7"))

    def test_far_or_unknown(self) -> None:
        """In that time the sequence numbers go too far."""
        for self.trip in (FAR, 0.08, 3.0, None):
            self.assertFalse(self.possible())

    def test_behind_no_nat(self) -> None:
        for host in ("192.168.7.2", "172.16.0.1", "fd00::7", "fe80::7", "127.0.0.1", "::1"):
            self.assertFalse(self.possible(host))

    def test_carrier(self) -> None:
        """Addresses of a carrier's own network are behind its NAT."""
        self.assertTrue(self.possible("100.64.0.9"))


class HelloTestCase(AcknowledgementTestCase):
    """A candidate in memory."""

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
        self.assert_no_calls()


class HelloTests(HelloTestCase):
    """What an acceptor says, and when."""

    def test_first_byte_alone(self) -> None:
        self.open()
        self.assertEqual(self.said, HELLO[:1])
        self.clock.advance(LONG)
        self.assertEqual(self.said, HELLO[:1])

    def test_rest_when_it_is_acknowledged(self) -> None:
        self.open()
        self.count = 1
        self.clock.advance(A_WHILE)
        self.assert_whole()
        self.assertEqual(set(self.asked), {self.transport})
        self.clock.advance(LONG)
        self.assertEqual(self.said, HELLO)

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
        self.count = 1
        self.clock.advance(A_WHILE)
        self.assert_whole()

    def test_whole_line_over_the_relay(self) -> None:
        self.open(is_relay=True)
        self.assert_whole()

    def test_whole_line_to_local_addresses(self) -> None:
        for peer in LOCAL:
            self.open(peer)
            self.assert_whole()

    def test_whole_line_to_one_that_is_far(self) -> None:
        self.trip = FAR
        self.open()
        self.assert_whole()

    def test_whole_line_where_nothing_is_known(self) -> None:
        self.trip = self.count = None
        self.open()
        self.assert_whole()


class EndTests(HelloTestCase):
    """The rest is not said any more."""

    def tearDown(self) -> None:
        del self.transport
        gc.collect()  # an error that nobody has seen is told of now

    def assert_over(self) -> None:
        """Neither the rest nor anything that waits."""
        self.assert_no_calls()
        self.count = 1
        self.clock.advance(LONG)
        self.assertEqual(self.said, HELLO[:1])

    def test_lost(self) -> None:
        candidate = self.open()
        self.transport.lose(ConnectionLost())
        self.assert_over()
        self.failureResultOf(candidate.shaken(), ConnectionLost)

    def test_ended_by_the_peer(self) -> None:
        self.open()
        self.transport.end()
        self.assert_over()

    def test_closed(self) -> None:
        candidate = self.open()
        self.clock.advance(A_WHILE)
        candidate.close()
        self.assert_over()
        self.transport.lose(ConnectionLost())
        self.assert_over()

    def test_chosen_before(self) -> None:
        """The peer knows the token already; what follows is the application's."""
        candidate = self.open()
        self.transport.deliver(CONFIRM)
        candidate.release(Wire())
        self.count = 1
        self.clock.advance(A_WHILE)
        self.assert_over()

    def test_wrong_line(self) -> None:
        self.open()
        self.transport.deliver(b"GET / HTTP/1.1\r\n")
        self.assert_over()
        self.assertEqual(self.transport.closing, "abort")
