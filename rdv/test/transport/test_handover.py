"""Giving a transport from one protocol to another."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.handover import hand_over, one_protocol, receive_from
from rdv.test.doubles import CLIENT, HalfCloseRecorder, MemoryTransport, Recorder, ends, present
from rdv.test.transport.doubles import PROXY_HEADER, proxied


class FirstProtocol(Recorder):
    """Gives its transport to another one as soon as it has received something."""

    def __init__(self, successor: IProtocol) -> None:
        super().__init__()
        self.successor = successor

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        assert self.transport is not None
        hand_over(self.transport, self.successor)


class HandOverTests(SynchronousTestCase):
    """``hand_over`` in the middle of a delivery, with and without a wrapper below."""

    #: What the client must send before the first protocol receives anything.
    preamble = b""

    def setUp(self) -> None:
        self.clock = Clock()

    def wrap(self, protocol: IProtocol) -> IProtocol:
        """What the server's end has as its protocol."""
        return protocol

    def hand_over_to(self, successor: IProtocol) -> tuple[FirstProtocol, Recorder, MemoryTransport]:
        """The first protocol, after it was relieved, and the client with its transport."""
        first = FirstProtocol(successor)
        client = HalfCloseRecorder()
        at_server, at_client = ends(self.clock)
        at_server.protocol, at_client.protocol = self.wrap(first), client
        at_server.protocol.makeConnection(at_server)
        client.makeConnection(at_client)
        at_client.write(self.preamble + b"request")
        self.clock.advance(0)
        self.assertEqual(first.pieces, [b"request"])
        return first, client, at_client

    def test_data_and_end(self) -> None:
        """They are the successor's, and the first one hears nothing of them."""
        successor = HalfCloseRecorder()
        first, client, at_client = self.hand_over_to(successor)
        assert successor.transport is not None
        at_client.write(b"more")
        successor.transport.write(b"answer")
        self.clock.advance(0)
        self.assertEqual((successor.pieces, client.pieces), ([b"more"], [b"answer"]))
        successor.transport.loseConnection()
        self.clock.advance(0)
        self.assertTrue(successor.lost_cleanly)
        self.assertEqual((first.pieces, first.lost), ([b"request"], None))

    def test_half_close_is_reported(self) -> None:
        successor = HalfCloseRecorder()
        _, client, at_client = self.hand_over_to(successor)
        at_client.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((successor.read_ended, successor.lost), (1, None))
        assert successor.transport is not None
        successor.transport.write(b"answer")
        successor.transport.loseWriteConnection()  # type: ignore[attr-defined]
        self.clock.advance(0)
        self.assertEqual((successor.write_ended, client.received), (1, b"answer"))

    def test_without_half_close(self) -> None:
        """The end is the end then; one with half-close in between hears no more."""
        between, last = HalfCloseRecorder(), Recorder()
        _, _, at_client = self.hand_over_to(between)
        assert between.transport is not None
        hand_over(between.transport, last)
        at_client.write(b"data")
        at_client.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((last.pieces, between.pieces), ([b"data"], []))
        self.assertEqual(between.read_ended, 0)
        self.assertTrue(last.lost_cleanly)

    def test_receive_from_does_not_connect(self) -> None:
        successor, receiver = HalfCloseRecorder(), HalfCloseRecorder()
        _, _, at_client = self.hand_over_to(successor)
        assert successor.transport is not None
        receive_from(successor.transport, receiver)
        at_client.write(b"data")
        self.clock.advance(0)
        self.assertEqual((receiver.pieces, receiver.transport), ([b"data"], None))


class WrappedHandOverTests(HandOverTests):
    """The same with a wrapper of ``twisted.protocols.policies`` in between."""

    def wrap(self, protocol: IProtocol) -> IProtocol:
        return WrappingFactory(one_protocol(protocol)).buildProtocol(CLIENT)


class ProxiedHandOverTests(HandOverTests):
    """The same behind a PROXY header."""

    preamble = PROXY_HEADER

    def wrap(self, protocol: IProtocol) -> IProtocol:
        return present(proxied(one_protocol(protocol)).buildProtocol(CLIENT))
