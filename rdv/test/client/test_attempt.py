"""
The race after the server's answer.
"""

from __future__ import annotations

import math

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused

from rdv.addresses import AddressSpace, parse_address
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, AttemptTestCase, ByteTransport, answer
from rdv.test.doubles import Wire


class RaceTestCase(AttemptTestCase):
    """Checks the winner."""

    def assert_won(self, winner: ByteTransport, *losers: ByteTransport, data: bytes = b"") -> None:
        """Once the losers are closed; the application gets what came behind the line."""
        if losers:
            self.assertNoResult(self.attempt)
        self.assert_done(*losers)
        connection = self.successResultOf(self.attempt)
        self.assertEqual(connection.is_relay, winner is self.server)
        address = "192.0.2.80:8080" if winner is self.server else PEER
        self.assertEqual(connection.peer_address, parse_address(address))
        connection.attach(wire := Wire())
        self.assertEqual((wire.data, winner.closing), (data, ""))

    def assert_nobody_is_let_in(self) -> None:
        inbound = self.reactor.tcpServers[0][1]
        self.assertIsNone(inbound.buildProtocol(IPv4Address("TCP", "203.0.113.9", 41000)))


class DialerTests(RaceTestCase):
    """The dialer chooses."""

    def test_direct_one_at_once(self) -> None:
        """Whoever has dialled, and also within the penalty of a relay that is ready."""
        for inbound in (True, False):
            for relay_first in (True, False):
                self.setUp()
                self.dial()
                self.answer(PEER)
                if relay_first:
                    self.server.deliver(HELLO)
                    self.reactor.advance(1.9)
                peer = self.arrive() if inbound else self.reactor.connected()
                peer.deliver(HELLO + b"data")
                self.assertEqual((peer.value(), self.server.value()), (CONFIRM, b""))
                self.assertEqual(self.reactor.connectors[1].stoppedConnecting, inbound)
                self.assert_nobody_is_let_in()
                self.assert_won(peer, self.server, data=b"data")

    def test_inbound_one_from_before_the_answer(self) -> None:
        self.dial()
        peer = self.arrive()
        peer.deliver(HELLO)
        self.assertEqual(peer.value(), b"")
        self.answer(PEER)
        self.assertEqual(peer.value(), CONFIRM)

    def test_relay_after_the_penalty(self) -> None:
        """Two seconds by default, and also when the peer can only dial us."""
        for penalty, options in ((3, {"penalty": 3}), (2, {})):
            for named in ([PEER], []):
                self.setUp()
                self.dial(**options)
                self.answer(*named)
                losers = [self.reactor.connected() for _ in named]
                self.server.deliver(HELLO + b"data")
                self.reactor.advance(penalty - 0.1)
                self.assertEqual(self.server.value(), b"")
                self.assertEqual([each.closing for each in losers if each.closing], [])
                self.reactor.advance(0.1)
                self.assertEqual(self.server.value(), CONFIRM)
                self.assert_won(self.server, *losers, data=b"data")

    def test_no_penalty_when_nothing_else_can_come(self) -> None:
        self.dial(spaces=AddressSpace.NONE, penalty=3)
        self.server.clear()
        self.server.deliver(answer(PEER, extra="Rdv-Observed-Addr: 198.51.100.1:4\r\n") + HELLO)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assert_won(self.server)

    def test_bad_ones_do_not_stop_the_others(self) -> None:
        self.dial()
        self.answer("203.0.113.9:41001", "203.0.113.9:41002", PEER)
        self.reactor.failed(Refused(), 1)
        bad = self.reactor.connected(2)
        bad.deliver(b"SSH-2.0\r\n")
        self.assertEqual(bad.closing, "abort")
        bad.lose(ConnectionLost())
        good = self.reactor.connected(3)
        good.deliver(HELLO)
        self.assertEqual(good.value(), CONFIRM)

    def test_confirms_only_one(self) -> None:
        self.dial()
        self.answer("192.168.7.2:41000", PEER)
        one, two = self.reactor.connected(1), self.reactor.connected(2)
        two.deliver(HELLO)
        one.deliver(HELLO)
        self.assertEqual((one.value(), two.value()), (b"", CONFIRM))
        self.assert_won(two, one, self.server)

    def test_another_chooser(self) -> None:
        self.dial(chooser=lambda candidate: 0.0 if candidate.is_relay else math.inf)
        self.answer(PEER)
        peer = self.reactor.connected()
        peer.deliver(HELLO)
        self.assertEqual(peer.value(), b"")
        self.server.deliver(HELLO)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assert_won(self.server, peer)


class AcceptorTests(RaceTestCase):
    """The acceptor takes what the dialer has chosen."""

    def test_hello_everywhere(self) -> None:
        self.accept()
        before = self.arrive(port=41001)
        self.assertEqual(before.value(), b"")
        self.answer(PEER)
        after = self.arrive(port=41002)
        for transport in (self.server, before, after, self.reactor.connected()):
            self.assertEqual(transport.value(), HELLO)

    def test_first_confirm_wins(self) -> None:
        """At once, be it the relay: the chooser is the dialer's."""
        for place in range(3):
            self.setUp()
            self.accept(penalty=100, chooser=lambda candidate: 100, witness=False)
            self.answer(PEER)
            transports = [self.server, self.reactor.connected(), self.arrive()]
            winner = transports.pop(place)
            winner.deliver(CONFIRM + b"data")
            self.assert_won(winner, *transports, data=b"data")

    def test_nobody_is_let_in_without_spaces(self) -> None:
        self.accept(spaces=AddressSpace.NONE)
        self.answer(PEER)
        self.assert_nobody_is_let_in()
