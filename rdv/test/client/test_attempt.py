"""
The race after the server's answer.
"""

from __future__ import annotations

import math

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused

from rdv.addresses import AddressSpace, parse_address
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, AttemptTestCase
from rdv.test.doubles import Wire


class DialerTests(AttemptTestCase):
    """The dialer chooses."""

    def test_first_direct_one_at_once(self) -> None:
        self.dial()
        self.answer(PEER)
        peer = self.reactor.connected()
        peer.deliver(HELLO + b"data")
        self.assertEqual(peer.value(), CONFIRM)
        self.assertNoResult(self.attempt)  # until the relay is closed
        self.assert_done(self.server)
        connection = self.successResultOf(self.attempt)
        self.assertFalse(connection.is_relay)
        self.assertEqual(connection.peer_address, parse_address(PEER))
        connection.attach(wire := Wire())
        self.assertEqual((wire.data, peer.closing), (b"data", ""))

    def test_inbound_one(self) -> None:
        self.dial()
        self.answer(PEER)
        peer = self.arrive()
        peer.deliver(HELLO)
        self.assertEqual(peer.value(), CONFIRM)
        self.assertTrue(self.reactor.connectors[1].stoppedConnecting)
        self.assert_done(self.server)
        self.assertFalse(self.successResultOf(self.attempt).is_relay)

    def test_inbound_one_from_before_the_answer(self) -> None:
        self.dial()
        peer = self.arrive()
        peer.deliver(HELLO)
        self.assertEqual(peer.value(), b"")
        self.answer(PEER)
        self.assertEqual(peer.value(), CONFIRM)

    def test_relay_after_the_penalty(self) -> None:
        self.dial(penalty=3)
        self.answer(PEER)
        peer = self.reactor.connected()
        self.server.deliver(HELLO + b"data")
        self.reactor.advance(2.9)
        self.assertEqual((self.server.value(), peer.closing), (b"", ""))
        self.reactor.advance(0.1)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assert_done(peer)
        connection = self.successResultOf(self.attempt)
        self.assertTrue(connection.is_relay)
        self.assertEqual(connection.peer_address, parse_address("192.0.2.80:8080"))
        connection.attach(wire := Wire())
        self.assertEqual((wire.data, self.server.closing), (b"data", ""))

    def test_no_penalty_when_nothing_else_can_come(self) -> None:
        self.dial(spaces=AddressSpace.NONE, penalty=3)
        self.answer(PEER)
        self.server.deliver(HELLO)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assertTrue(self.successResultOf(self.attempt).is_relay)

    def test_penalty_by_default(self) -> None:
        self.dial()
        self.answer()
        self.server.deliver(HELLO)
        self.reactor.advance(1.9)
        self.assertNoResult(self.attempt)
        self.reactor.advance(0.1)
        self.successResultOf(self.attempt)

    def test_direct_one_within_the_penalty(self) -> None:
        self.dial()
        self.answer(PEER)
        self.server.deliver(HELLO)
        self.reactor.advance(1.9)
        self.reactor.connected().deliver(HELLO)
        self.assertEqual(self.server.value(), b"")
        self.assert_done(self.server)
        self.assertFalse(self.successResultOf(self.attempt).is_relay)

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
        self.answer(PEER, "203.0.113.9:41001")
        one, two = self.reactor.connected(1), self.reactor.connected(2)
        two.deliver(HELLO)
        one.deliver(HELLO)
        self.assertEqual((one.value(), two.value()), (b"", CONFIRM))
        self.assert_done(one, self.server)
        self.successResultOf(self.attempt)
        self.assertEqual(two.closing, "")

    def test_nobody_is_let_in_when_it_is_decided(self) -> None:
        self.dial()
        self.answer(PEER)
        self.reactor.connected().deliver(HELLO)
        self.assertNoResult(self.attempt)
        inbound = self.reactor.tcpServers[0][1]
        self.assertIsNone(inbound.buildProtocol(IPv4Address("TCP", "203.0.113.9", 41000)))

    def test_another_chooser(self) -> None:
        self.dial(chooser=lambda candidate: 0.0 if candidate.is_relay else math.inf)
        self.answer(PEER)
        peer = self.reactor.connected()
        peer.deliver(HELLO)
        self.assertEqual(peer.value(), b"")
        self.server.deliver(HELLO)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assert_done(peer)
        self.assertTrue(self.successResultOf(self.attempt).is_relay)


class AcceptorTests(AttemptTestCase):
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
        self.accept()
        self.answer(PEER)
        direct, inbound = self.reactor.connected(), self.arrive()
        inbound.deliver(CONFIRM + b"data")
        self.assert_done(direct, self.server)
        connection = self.successResultOf(self.attempt)
        connection.attach(wire := Wire())
        self.assertEqual(wire.data, b"data")

    def test_relay_at_once(self) -> None:
        """The chooser is the dialer's."""
        self.accept(penalty=100, chooser=lambda candidate: 100)
        self.answer(PEER)
        direct = self.reactor.connected()
        self.server.deliver(CONFIRM + b"data")
        self.assert_done(direct)
        connection = self.successResultOf(self.attempt)
        self.assertTrue(connection.is_relay)
        connection.attach(wire := Wire())
        self.assertEqual(wire.data, b"data")

    def test_nobody_is_let_in_without_spaces(self) -> None:
        self.accept(spaces=AddressSpace.NONE)
        self.answer(PEER)
        port = self.reactor.tcpServers[0][1]
        self.assertIsNone(port.buildProtocol(IPv4Address("TCP", "203.0.113.9", 41000)))
