"""
The doubles: they provide what they claim, and behave like TCP where tests rely on it.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IHostnameResolver,
    IProtocol,
    IPushProducer,
    IStreamServerEndpoint,
    ITCPTransport,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv.client.dial.shared_port import IClientReactor
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.doubles import ByteTransport, ClientReactor, Resolver
from rdv.test.doubles import HalfCloseRecorder, Recorder, connect, present
from rdv.test.transport.doubles import NowhereEndpoint


class MemoryTransportTests(SynchronousTestCase):
    """A connection in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server, self.client = HalfCloseRecorder(), HalfCloseRecorder()
        self.at_server, self.at_client = connect(self.clock, self.server, self.client)

    def test_interfaces(self) -> None:
        for thing, interfaces in (
            (self.at_server, (ITCPTransport, IConsumer, IPushProducer)),
            (self.server, (IProtocol, IHalfCloseableProtocol)),
            (NowhereEndpoint(), (IStreamServerEndpoint,)),
            (ByteTransport(), (ITransport, IConsumer, IPushProducer)),
            (ClientReactor(), (IClientReactor,)),
            (Resolver({}), (IHostnameResolver,)),
            (SteppedReactor(ClientReactor()), (IClientReactor,)),
        ):
            for interface in interfaces:
                self.assertTrue(verifyObject(interface, thing))
        self.assertFalse(IHalfCloseableProtocol.providedBy(Recorder()))

    def test_data_both_ways_in_a_later_turn(self) -> None:
        self.at_server.write(b"to the client")
        self.at_client.write(b"to the server")
        self.assertEqual((self.client.received, self.server.received), (b"", b""))
        self.clock.advance(0)
        self.assertEqual(self.client.pieces, [b"to the client"])
        self.assertEqual(self.server.pieces, [b"to the server"])

    def test_half_close_behind_the_data(self) -> None:
        self.at_client.write(b"last")
        self.at_client.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((self.server.received, self.server.read_ended), (b"last", 1))
        self.assertEqual(self.client.write_ended, 1)
        self.at_client.write(b"too late")
        self.at_server.write(b"answer")
        self.clock.advance(0)
        self.assertEqual((self.server.received, self.client.received), (b"last", b"answer"))
        self.assertIsNone(self.server.lost)

    def test_back_pressure(self) -> None:
        other = connect(self.clock, HalfCloseRecorder(), HalfCloseRecorder())[0]
        self.at_server.registerProducer(other, True)
        self.at_client.pauseProducing()
        self.at_server.write(b"x" * self.at_server.limit)
        self.clock.advance(0)
        self.assertFalse(other.paused)
        self.at_server.write(b"x")
        self.assertTrue(other.paused)
        self.assertEqual(self.at_server.buffered, self.at_server.limit + 1)
        self.at_client.resumeProducing()
        self.clock.advance(0)
        self.assertFalse(other.paused)
        self.assertEqual(len(self.client.received), self.at_server.limit + 1)

    def test_lost(self) -> None:
        """In good order, and not."""
        for reason in (ConnectionDone, ConnectionLost):
            self.setUp()
            self.at_server.write(b"dropped")
            self.at_server.lose(reason())
            self.clock.advance(0)
            present(self.server.lost).trap(reason)
            self.assertEqual(self.client.received, b"")
            self.assertEqual(self.client.read_ended, reason is ConnectionDone)
            self.assertEqual(self.client.lost is None, reason is ConnectionDone)
            self.assertEqual(self.clock.getDelayedCalls(), [])
