"""
The transport that the application's protocol sees.
"""

from __future__ import annotations

import socket
import struct

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from rdv.addresses import Address, parse_address
from rdv.client.candidate import Candidate
from rdv.client.connection import Connection
from rdv.test.client.doubles import ByteTransport
from rdv.test.doubles import HalfWire, Wire
from rdv.wire import Role

CONFIRM = b"rdv/1 CONFIRM token\r\n"
PEER = IPv4Address("TCP", "192.0.2.1", 40112)


class ConnectionTestCase(SynchronousTestCase):
    """A connection made of an acceptor's candidate; ``early`` came with CONFIRM."""

    early = b""

    def setUp(self) -> None:
        candidate = Candidate(Clock(), Role.ACCEPTOR, b"token")
        self.below = ByteTransport(candidate, PEER)
        self.below.connect()
        self.below.deliver(CONFIRM + self.early)
        self.below.clear()
        self.connection = Connection(candidate, None, Headers())


class AboutTests(SynchronousTestCase):
    """What a connection says of itself."""

    def connection(self, *, is_relay: bool, observed: Address | None) -> Connection:
        """One with these properties."""
        candidate = Candidate(Clock(), Role.DIALER, b"token", is_relay=is_relay)
        ByteTransport(candidate, PEER).connect()
        return Connection(candidate, observed, Headers({"X-Extra": ["1"]}))

    def test_attributes(self) -> None:
        observed = parse_address("203.0.113.9:39841")
        connection = self.connection(is_relay=False, observed=observed)
        self.assertFalse(connection.is_relay)
        self.assertEqual(connection.peer_address, parse_address("192.0.2.1:40112"))
        self.assertEqual(connection.observed_address, observed)
        self.assertEqual(connection.headers.getRawHeaders("x-extra"), ["1"])
        self.assertEqual(repr(connection), "<Connection p2p 192.0.2.1:40112>")

    def test_relay(self) -> None:
        connection = self.connection(is_relay=True, observed=None)
        self.assertTrue(connection.is_relay)
        self.assertIsNone(connection.observed_address)
        self.assertEqual(repr(connection), "<Connection relay 192.0.2.1:40112>")

    def test_interfaces(self) -> None:
        connection = self.connection(is_relay=True, observed=None)
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, connection)

    def test_wrapper_round_it_ends_with_it(self) -> None:
        """A wrapper claims what its transport provides; the end must not go round in a ring."""
        connection = self.connection(is_relay=False, observed=None)
        below = connection.transport
        wire = Wire()
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), wire)
        connection.attach(wrapper)
        self.assertFalse(IHalfCloseableProtocol.providedBy(wrapper))
        assert isinstance(below, ByteTransport)
        below.end()
        self.assertEqual(below.closing, "close")


class ReadingTests(ConnectionTestCase):
    """What the protocol gets afterwards."""

    def attach(self, wire: Wire) -> None:
        """Attach it."""
        self.connection.attach(wire)

    def test_data_and_loss(self) -> None:
        wire = Wire()
        self.attach(wire)
        self.below.deliver(b"data")
        reason = self.below.lose(ConnectionLost())
        self.assertEqual(wire.data, b"data")
        self.assertIs(wire.reason, reason)

    def test_half_close(self) -> None:
        wire = HalfWire()
        self.attach(wire)
        self.below.end()
        self.assertEqual((wire.read_ended, self.below.closing), (1, ""))
        self.below.protocol.writeConnectionLost()
        self.assertEqual(wire.write_ended, 1)

    def test_no_interest_in_half_close(self) -> None:
        wire = Wire()
        self.attach(wire)
        self.below.end()
        self.assertEqual(self.below.closing, "close")
        self.below.protocol.writeConnectionLost()
        self.below.lose()
        assert wire.reason is not None
        self.assertIsNotNone(wire.reason.check(ConnectionDone))

    def test_write_end_before_attach(self) -> None:
        self.connection.loseWriteConnection()
        self.below.protocol.writeConnectionLost()
        wire = HalfWire()
        self.attach(wire)
        self.assertTrue(self.below.write_ended)

    def test_paused(self) -> None:
        wire = HalfWire()
        self.attach(wire)
        self.connection.pauseProducing()
        self.assertEqual(self.below.producerState, "paused")
        self.below.deliver(b"what TLS ", b"had decrypted")
        self.below.end()
        self.assertEqual((wire.data, wire.read_ended), (b"", 0))
        self.connection.resumeProducing()
        self.assertEqual((wire.data, wire.read_ended), (b"what TLS had decrypted", 1))
        self.assertEqual(self.below.producerState, "producing")

    def test_lost_while_paused(self) -> None:
        wire = Wire()
        self.attach(wire)
        self.connection.pauseProducing()
        reason = self.below.lose(ConnectionLost())
        self.assertIs(wire.reason, reason)

    def test_lost_while_paused_with_something_held(self) -> None:
        wire = Wire()
        self.attach(wire)
        self.connection.pauseProducing()
        self.below.deliver(b"data")
        reason = self.below.lose(ConnectionLost())
        self.assertIsNone(wire.reason)
        self.connection.resumeProducing()
        self.assertEqual(wire.data, b"data")
        self.assertIs(wire.reason, reason)


class WritingTests(ConnectionTestCase):
    """What the protocol may do."""

    def setUp(self) -> None:
        super().setUp()
        self.connection.attach(Protocol())

    def test_write(self) -> None:
        self.connection.write(b"one ")
        self.connection.writeSequence([b"two ", b"three"])
        self.assertEqual(self.below.value(), b"one two three")

    def test_closing(self) -> None:
        self.connection.loseWriteConnection()
        self.assertEqual((self.below.write_ended, self.below.closing), (True, ""))
        self.connection.loseConnection()
        self.assertEqual(self.below.closing, "close")
        self.connection.abortConnection()
        self.assertEqual(self.below.closing, "abort")

    def test_stop_producing_closes(self) -> None:
        self.connection.stopProducing()
        self.assertEqual(self.below.closing, "close")

    def test_producer(self) -> None:
        for streaming in (True, False):
            producer = object()
            self.connection.registerProducer(producer, streaming)
            self.assertIs(self.below.producer, producer)
            self.assertIs(self.below.streaming, streaming)
            self.connection.unregisterProducer()
            self.assertIsNone(self.below.producer)

    def test_addresses(self) -> None:
        self.assertEqual(self.connection.getPeer(), PEER)
        self.assertEqual(self.connection.getHost(), self.below.getHost())

    def test_break_on_exit(self) -> None:
        with socket.socket() as sock:
            self.below.handle = sock
            for enabled in (True, False):
                self.connection.break_on_exit(enabled)
                option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
                self.assertEqual(struct.unpack("ii", option), (int(enabled), 0))
