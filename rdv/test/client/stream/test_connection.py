"""
The transport that the application's protocol sees.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from rdv.addresses import parse_address
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
from rdv.test.client.doubles import ByteTransport
from rdv.test.doubles import HalfWire, Wire
from rdv.wire import Role

CONFIRM = b"rdv/1 CONFIRM token\r\n"
PEER = IPv4Address("TCP", "192.0.2.1", 40112)
CLOSING = ("loseConnection", "abortConnection", "stopProducing")


class Once(HalfWire):
    """Is notified of the end at most once."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert self.reason is None
        super().connectionLost(reason)

    @property
    def seen(self) -> tuple[bytes, int, Failure | None]:
        """What has come, how often the other side has ended, and how all of it has."""
        return self.data, self.read_ended, self.reason


class Pausing(Once):
    """Pauses reading."""

    def connectionMade(self) -> None:
        super().connectionMade()
        IPushProducer(self.transport).pauseProducing()


class PieceByPiece(Once):
    """Stops reading after each piece."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        IPushProducer(self.transport).pauseProducing()


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
    """The properties of a connection."""

    def test_attributes(self) -> None:
        address = parse_address("203.0.113.9:39841")
        for is_relay, observed, kind in ((False, address, "p2p"), (True, None, "relay")):
            candidate = Candidate(Clock(), Role.DIALER, b"token", is_relay=is_relay)
            ByteTransport(candidate, PEER).connect()
            connection = Connection(candidate, observed, Headers({"X-Extra": ["1"]}))
            self.assertIs(connection.is_relay, is_relay)
            self.assertEqual(connection.peer_address, parse_address("192.0.2.1:40112"))
            self.assertEqual(connection.observed_address, observed)
            self.assertEqual(connection.headers.getRawHeaders("x-extra"), ["1"])
            self.assertEqual(repr(connection), f"<Connection {kind} 192.0.2.1:40112>")
            for interface in (ITCPTransport, IConsumer, IPushProducer):
                verifyObject(interface, connection)


class AttachTests(ConnectionTestCase):
    """Data and ends that arrive before there is a protocol."""

    early = b"early "

    def test_nothing_is_read_before(self) -> None:
        self.assertEqual(self.below.producerState, "paused")
        self.connection.attach(wire := Wire())
        self.assertEqual(self.below.producerState, "producing")
        self.assertIs(wire.transport, self.connection)
        self.successResultOf(wire.made)

    def test_held_bytes_first_and_once(self) -> None:
        self.below.deliver(b"bytes ", b"that ")
        self.connection.attach(wire := Wire())
        self.assertRaises(RuntimeError, self.connection.attach, Wire())
        self.assertEqual(wire.data, b"early bytes that ")
        self.connection.pauseProducing()
        self.connection.resumeProducing()
        self.below.deliver(b"are late")
        self.assertEqual(wire.data, b"early bytes that are late")

    def test_ends(self) -> None:
        """In their order and once, when the protocol cares to read."""
        for kind, at_once in ((Once, b"early "), (Pausing, b""), (PieceByPiece, b"early ")):
            for ended in (False, True):
                for lost in (False, True):
                    self.setUp()
                    if ended:
                        self.below.end()
                    reason = self.below.lose(ConnectionLost()) if lost else None
                    self.connection.attach(wire := kind())
                    if kind is not Once:
                        self.assertEqual(wire.seen, (at_once, 0, None))
                        self.assertEqual(self.below.producerState, "paused")
                    for _ in range(3):
                        self.connection.resumeProducing()
                    self.assertEqual(wire.seen, (b"early ", int(ended), reason))
                    self.assertEqual(self.below.closing, "")

    def test_pausing_at_once(self) -> None:
        self.connection.attach(wire := Pausing())
        self.below.deliver(b"data")
        self.assertEqual((wire.data, self.below.producerState), (b"", "paused"))
        self.connection.resumeProducing()
        self.assertEqual((wire.data, self.below.producerState), (b"early data", "producing"))


class ReadingTests(ConnectionTestCase):
    """What the protocol gets afterwards."""

    def test_both_directions_end(self) -> None:
        self.connection.attach(wire := HalfWire())
        self.below.deliver(b"data")
        self.below.end()
        self.assertEqual((wire.data, wire.read_ended, self.below.closing), (b"data", 1, ""))
        self.below.protocol.writeConnectionLost()
        self.assertEqual(wire.write_ended, 1)

    def test_no_interest_in_half_close(self) -> None:
        """
        The end closes the connection, whenever it came. It must not go round in a ring: a wrapper
        claims what its transport provides.
        """
        for wrapped in (False, True):
            for before in (False, True):
                self.setUp()
                wire = Wire()
                wrapper = ProtocolWrapper(WrappingFactory(Factory()), wire) if wrapped else wire
                self.assertFalse(IHalfCloseableProtocol.providedBy(wrapper))
                if before:
                    self.below.end()
                self.connection.attach(wrapper)
                if not before:
                    self.below.end()
                self.assertEqual(self.below.closing, "close")
                self.below.protocol.writeConnectionLost()
                self.below.lose()
                assert wire.reason is not None
                self.assertIsNotNone(wire.reason.check(ConnectionDone))

    def test_write_end_before_attach(self) -> None:
        self.connection.loseWriteConnection()
        self.below.protocol.writeConnectionLost()
        self.connection.attach(HalfWire())
        self.assertTrue(self.below.write_ended)

    def test_paused(self) -> None:
        """What TLS had decrypted already is held, and so is what comes behind it."""
        for held in ((), (b"what TLS ", b"had decrypted")):
            for ended in (False, True):
                self.setUp()
                self.connection.attach(wire := Once())
                self.connection.pauseProducing()
                self.assertEqual(self.below.producerState, "paused")
                self.below.deliver(*held)
                if ended:
                    self.below.end()
                reason = self.below.lose(ConnectionLost())
                waits = bool(held or ended)
                self.assertEqual(wire.seen, (b"", 0, None if waits else reason))
                self.connection.resumeProducing()
                self.assertEqual(wire.seen, (b"".join(held), int(ended), reason))
                self.assertEqual(self.below.producerState, "producing")


class WritingTests(ConnectionTestCase):
    """What the protocol may do."""

    def setUp(self) -> None:
        super().setUp()
        self.connection.attach(Protocol())

    def test_write(self) -> None:
        self.connection.write(b"one ")
        self.connection.writeSequence([b"two ", b"three"])
        self.assertEqual(self.below.value(), b"one two three")
        self.assertEqual(self.connection.getPeer(), PEER)
        self.assertEqual(self.connection.getHost(), self.below.getHost())

    def test_closing(self) -> None:
        self.connection.loseWriteConnection()
        self.assertEqual((self.below.write_ended, self.below.closing), (True, ""))
        self.assertFalse(self.connection.disconnecting)
        for close, closing in zip(CLOSING, ("close", "abort", "close"), strict=True):
            self.setUp()
            getattr(self.connection, close)()
            self.assertEqual(self.below.closing, closing)
            self.assertTrue(self.connection.disconnecting)

    def test_producer(self) -> None:
        for streaming in (True, False):
            producer = object()
            self.connection.registerProducer(producer, streaming)
            self.assertIs(self.below.producer, producer)
            self.assertIs(self.below.streaming, streaming)
            self.connection.unregisterProducer()
            self.assertIsNone(self.below.producer)

    def test_break_on_exit(self) -> None:
        with socket.socket() as sock:
            self.below.handle = sock
            for enabled in (True, False):
                self.connection.break_on_exit(enabled)
                option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
                self.assertEqual(struct.unpack("ii", option), (int(enabled), 0))


class ClosingTests(ConnectionTestCase):
    """
    The protocol closes before it has received everything: it is only notified of how the connection
    ended.
    """

    early = b"early"

    def assert_told(self, *before: Callable[[], object]) -> None:
        """:param before: what happens while it reads nothing; a loss is the last."""
        for close in CLOSING:
            for error in (ConnectionDone(), ConnectionLost()):
                for late in ((), (b"what TLS had decrypted",)):
                    self.setUp()
                    self.connection.attach(wire := Pausing())
                    for each in before:
                        each()
                    self.assertEqual(wire.seen, (b"", 0, None))
                    reason = None
                    if not self.below.gone:
                        getattr(self.connection, close)()
                        self.below.deliver(*late)
                        reason = self.below.lose(error)
                    else:
                        getattr(self.connection, close)()
                    self.assertIsNotNone(wire.reason)
                    self.connection.resumeProducing()
                    self.assertEqual((wire.data, wire.read_ended), (b"", 0))
                    if reason is not None:
                        self.assertIs(wire.reason, reason)

    def test_held(self) -> None:
        self.assert_told()
        self.assert_told(lambda: self.below.deliver(b"held"))

    def test_peer_has_ended(self) -> None:
        self.assert_told(lambda: self.below.end())

    def test_lost_already(self) -> None:
        """The end came first and waits behind what is held."""
        self.assert_told(lambda: self.below.lose(ConnectionLost()))

    def test_in_the_middle_of_a_delivery(self) -> None:
        for close in CLOSING:
            self.setUp()
            self.connection.attach(wire := Wire())
            wire.until(b"first").addCallback(self._close, close)
            self.below.deliver(b"first", b"second")
            self.below.lose()
            self.assertEqual(wire.data, b"earlyfirst")
            self.assertIsNotNone(wire.reason)

    def _close(self, data: bytes, how: str) -> None:
        getattr(self.connection, how)()

    def test_at_once(self) -> None:
        wire = Wire()
        wire.made.addCallback(Wire.close)
        self.connection.attach(wire)
        self.assertEqual(self.below.closing, "close")
        self.below.lose()
        self.assertEqual(wire.data, b"")
        self.assertIsNotNone(wire.reason)
