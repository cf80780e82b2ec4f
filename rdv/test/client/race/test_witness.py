"""
Which hosts the acceptor of a plain stream trusts.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs

from rdv.client.race import witness
from rdv.client.trace import Event, What
from rdv.errors import NoConnection
from rdv.test.client.doubles import (
    CONFIRM,
    HELLO,
    PEER,
    AttemptTestCase,
    ByteTransport,
    answer,
)
from rdv.test.doubles import Recorder

HOME = "192.168.7.2:41000"
#: The addresses that the dialer has reported, and last the one that the server has observed.
NAMED = (HOME, "198.51.100.7:41000", "[2001:db8::7]:41000", "[fd00::7]:41000", PEER)
NAT = "198.51.100.1:40000"


class WitnessTestCase(AttemptTestCase):
    """
    An acceptor whose relay is established.

    :ivar events: of its trace.
    """

    def begin(self, *peers: str, observed: str = NAT, **options: object) -> None:
        """The server has answered."""
        self.events: list[Event] = []
        self.accept(trace=self.events.append, **options)  # type: ignore[arg-type]
        self.server.clear()
        extra = f"Rdv-Observed-Addr: {observed}\r\n" if observed else ""
        self.server.deliver(answer(*(peers or NAMED), extra=extra))
        self.assertEqual(self.server.value(), HELLO)

    def confirms(self, address: str, behind: bytes = b"") -> ByteTransport:
        """Somebody who comes from there says CONFIRM."""
        host, _, port = address.rpartition(":")
        transport = self.arrive(host.strip("[]"), int(port))
        transport.deliver(CONFIRM + behind)
        return transport

    def assert_waits(self, *transports: ByteTransport) -> None:
        """They are neither believed nor refused."""
        self.assertNoResult(self.attempt)
        self.assertEqual([each.closing for each in transports], [""] * len(transports))

    def assert_believed(self, transport: ByteTransport, data: bytes = b"") -> None:
        """It has won, and nothing of what it has sent is lost."""
        connection = self.successResultOf(self.attempt)
        self.assertIs(connection.transport, transport)
        connection.attach(recorder := Recorder())
        self.assertEqual(recorder.received, data)
        self.assertEqual(transport.producerState, "producing")

    def settle(self) -> None:
        """Whoever was told to close does."""
        for transport in self.reactor.transports:
            if transport.closing and not transport.gone:
                transport.lose()


class AddressTests(WitnessTestCase):
    """An address can prove that it is the peer."""

    def test_at_once(self) -> None:
        """Those of the NAT at which the server has met it, and IPv6 ones."""
        mapped = "203.0.113.9:50000"
        for address in (PEER, mapped, "[2001:db8::7]:41000"):
            self.setUp()
            self.begin(mapped, *NAMED)
            peer = self.confirms(address, b"data")
            self.server.lose()
            self.settle()
            self.assert_believed(peer, b"data")

    def test_others(self) -> None:
        """Those of networks, others of the same NAT or host, and those of which nobody knows."""
        carrier = "100.64.0.9:41000"
        for names, observed, address in (
            ((), NAT, HOME),
            ((), NAT, "[fd00::7]:41000"),
            ((), NAT, "198.51.100.7:41000"),
            ((), NAT, "203.0.113.9:41001"),
            ((), NAT, "[2001:db8::7]:41001"),
            ((), "", PEER),
            ((HOME, carrier), "100.64.0.8:40000", carrier),
            (("192.168.7.1:40", HOME), "192.168.7.3:40000", HOME),
        ):
            self.setUp()
            self.begin(*names, observed=observed)
            self.assert_waits(self.confirms(address))


class RelayTests(WitnessTestCase):
    """The relay as a witness."""

    def test_ends(self) -> None:
        """Only then the stream begins, with what the dialer has sent meanwhile."""
        for error in (ConnectionDone(), ConnectionLost()):
            self.setUp()
            self.begin()
            peer = self.confirms(HOME, b"data")
            self.reactor.advance(witness._LEAVES_WITHIN * 0.9)
            self.assert_waits(peer)
            self.assertEqual(peer.producerState, "paused")
            self.assertEqual(peer.value(), HELLO)
            self.server.lose(error)
            self.settle()
            self.assert_believed(peer, b"data")

    def test_ended_before(self) -> None:
        """The dialer has left it, and its CONFIRM comes later."""
        self.begin()
        self.server.lose()
        peer = self.confirms(HOME)
        self.settle()
        self.assert_believed(peer)

    def test_confirm(self) -> None:
        """The dialer has chosen it: the others are dropped, which is said."""
        self.begin()
        strangers = [self.confirms(HOME, b"evil"), self.confirms("203.0.113.9:41001", b"evil")]
        with capturedLogs() as logged:
            self.server.deliver(CONFIRM + b"data")
        self.settle()
        self.assert_believed(self.server, b"data")
        self.assertEqual([each.closing for each in strangers], ["abort"] * 2)
        warned = [each["peer"] for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual([str(each) for each in warned], [HOME, "203.0.113.9:41001"])
        lost = [each.fields["reason"] for each in self.events if each.what is What.LOST]
        self.assertEqual(lost.count(witness._CHOSE_THE_RELAY), 2)

    def test_stands(self) -> None:
        """For too long: nobody is believed, though the server ends it, and it is said why."""
        self.begin()
        peer = self.confirms(HOME)
        self.reactor.advance(witness._LEAVES_WITHIN)
        self.assertEqual(peer.closing, "abort")
        self.server.lose()
        self.reactor.advance(5)
        self.settle()
        error = self.failureResultOf(self.attempt, NoConnection).value
        self.assertIn(witness._DID_NOT_LEAVE, str(error))
        self.assert_nothing_left(peer)

    def test_cancelled(self) -> None:
        self.begin()
        peer = self.confirms(HOME)
        self.attempt.cancel()
        self.settle()
        self.failureResultOf(self.attempt)
        self.assert_nothing_left(peer)

    def assert_nothing_left(self, peer: ByteTransport) -> None:
        """Neither connections nor timers."""
        self.assertTrue(peer.gone and self.server.gone)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lost_meanwhile(self) -> None:
        """By who has confirmed. Another one may still come."""
        self.begin()
        self.confirms(HOME).lose(ConnectionLost())
        peer = self.confirms(PEER)
        self.server.lose()
        self.settle()
        self.assert_believed(peer)


class TwoTests(WitnessTestCase):
    """More than one host has confirmed."""

    def test_one_that_needs_no_witness(self) -> None:
        """It is taken, whoever has come before."""
        self.begin()
        stranger, peer = self.confirms(HOME), self.confirms(PEER)
        self.assertEqual(stranger.closing, "abort")
        self.server.lose()
        self.settle()
        self.assert_believed(peer)

    def test_neither(self) -> None:
        """One of them is not the peer, be it gone already."""
        actions: tuple[Callable[[ByteTransport], object], ...] = (
            lambda transport: None,
            lambda transport: transport.lose(ConnectionLost()),
        )
        for action in actions:
            self.setUp()
            self.begin()
            one, two = self.confirms("203.0.113.9:41001"), self.confirms(HOME)
            action(one)
            self.server.lose()
            self.assertEqual(two.closing, "abort")
            self.reactor.advance(5)
            self.settle()
            error = self.failureResultOf(self.attempt, NoConnection).value
            self.assertIn(witness._MORE_THAN_ONE, str(error))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_overtaken(self) -> None:
        """A CONFIRM that was sent before the dialer left the relay comes a little later."""
        self.patch(witness, "round_trip", lambda transport: 10.0)
        for late in (True, False):
            self.setUp()
            self.begin()
            early, other = self.confirms("203.0.113.9:41001"), self.arrive("192.168.7.2")
            self.server.lose()
            self.reactor.advance(witness._OVERTAKEN / 2)
            self.assert_waits(early, other)
            if late:
                other.deliver(CONFIRM)
            self.reactor.advance(witness._OVERTAKEN)
            if late:
                self.assertEqual((early.closing, other.closing), ("abort", "abort"))
            else:
                self.settle()
                self.assert_believed(early)


class NoWitnessTests(WitnessTestCase):
    """Cases in which no witness is needed."""

    def test_not_wanted(self) -> None:
        self.begin(witness=False)
        peer = self.confirms(HOME)
        self.server.lose()
        self.settle()
        self.assert_believed(peer)

    def test_dialer(self) -> None:
        """It is the one who chooses."""
        self.dial()
        self.answer(HOME)
        peer = self.reactor.connected()
        peer.deliver(HELLO)
        self.assertEqual(peer.value(), CONFIRM)
