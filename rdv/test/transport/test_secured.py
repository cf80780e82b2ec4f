"""
Tests of :mod:`rdv._transport.secured`: data, clean ends, and whether the peer is live.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv._secure.path import Signal
from rdv._secure.records import Control, RecordType
from rdv._transport.interfaces import StreamTransport
from rdv._transport.secured import PeerNotProven, SecureTransport
from rdv.test.doubles import (
    CLIENT,
    SERVER,
    HalfCloseRecorder,
    Recorder,
    connect,
)
from rdv.test.secure.doubles import paths
from rdv.test.transport.secured_case import LARGE, SecuredTestCase


class StreamTests(SecuredTestCase):
    """Data, and clean ends."""

    def test_interfaces(self) -> None:
        self.assertTrue(verifyObject(IProtocol, self.dialer.first))
        self.assertTrue(verifyObject(IHalfCloseableProtocol, self.dialer.first))
        self.assertTrue(verifyObject(ITCPTransport, self.dialer))
        self.assertTrue(verifyObject(IConsumer, self.dialer))
        self.assertTrue(verifyObject(IPushProducer, self.dialer))
        stream: StreamTransport = self.dialer
        self.assertEqual((stream.getHost(), stream.getPeer()), (CLIENT, SERVER))

    def test_both_ways(self) -> None:
        """Bytes arrive, also those that a dialer writes before it knows who is there."""
        self.dialer.write(b"")
        self.dialer.writeSequence([b"a", LARGE])
        self.acceptor.write(LARGE)
        self.settle()
        self.assertTrue(self.ours.received == b"a" + LARGE and self.theirs.received == LARGE)
        self.assertNotIn(LARGE[:64], b"".join(self.below_dialer.writes))

    def test_one_delivery(self) -> None:
        """What one read brings is delivered at once."""
        self.settle()
        self.acceptor.write(bytes(50_000))
        self.settle()
        self.assertEqual([len(piece) for piece in self.theirs.pieces], [50_000])

    def test_half_close(self) -> None:
        """One direction ends, the other goes on; TCP knows nothing of it."""
        self.dialer.write(b"question")
        self.dialer.loseWriteConnection()
        self.dialer.write(b"too late")
        self.settle()
        self.assertEqual((self.ours.received, self.ours.read_ended), (b"question", 1))
        self.assertEqual(self.theirs.write_ended, 1)
        self.assertFalse(self.below_dialer._writeDisconnected)
        self.acceptor.write(b"answer")
        self.acceptor.loseWriteConnection()
        self.settle()
        self.assertEqual((self.theirs.received, self.theirs.read_ended), (b"answer", 1))
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)

    def test_closing(self) -> None:
        """A protocol that does not care for half-close closes at the peer's end."""
        self.secure(Recorder(), Recorder())
        self.dialer.write(LARGE)
        self.dialer.loseConnection()
        self.assertTrue(self.dialer.disconnecting)
        self.settle()
        self.assertTrue(self.ours.received == LARGE)
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)

    def test_closing_both(self) -> None:
        """Both close at once, in the middle of what the other one says."""
        self.settle()
        for side in (self.dialer, self.acceptor):
            side.write(b"lost")
            side.loseConnection()
        self.settle()
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)
        self.assertEqual((self.ours.received, self.theirs.received), (b"", b""))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing_before_the_peers_end(self) -> None:
        """The peer has everything, and five seconds; then the stream is broken for both."""
        self.dialer.write(b"x")
        self.dialer.loseConnection()
        self.settle()
        self.acceptor.write(b"nobody reads this")
        self.clock.advance(4.9)
        self.assertIsNone(self.ours.lost or self.theirs.lost)
        self.clock.advance(0.2)
        self.settle()
        self.assertEqual(self.lost(self.theirs), ConnectionLost)
        self.assertEqual(self.lost(self.ours), ConnectionLost)
        self.assertEqual((self.ours.received, self.theirs.received), (b"x", b""))

    def test_closing_waits_for_a_slow_peer(self) -> None:
        """As long as the peer's application has not got everything there is no haste."""
        self.settle()
        self.acceptor.pauseProducing()
        self.dialer.write(LARGE)
        self.dialer.loseConnection()
        self.clock.advance(60)
        self.assertIsNone(self.theirs.lost)
        self.acceptor.resumeProducing()
        self.settle()
        self.acceptor.loseConnection()
        self.settle()
        self.assertTrue(self.ours.received == LARGE)
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)

    def test_closed_behind_the_receipt(self) -> None:
        """Who ended its direction long ago and closes now waits five seconds as well."""
        self.dialer.loseWriteConnection()
        self.settle()
        self.dialer.loseConnection()
        self.clock.advance(5.1)
        self.assertEqual(self.lost(self.theirs), ConnectionLost)

    def test_receipt(self) -> None:
        """DONE is said when the application has been told of the end, and not before."""
        self.settle()
        self.acceptor.pauseProducing()
        path = self.dialer.path
        self.acceptor.first.dataReceived(b"".join(path.seal(b"held") + path.say(Signal.END)))
        self.assertFalse(self.dialer.stream.delivered)
        self.settle()
        self.assertFalse(self.dialer.stream.delivered)
        self.acceptor.resumeProducing()
        self.settle()
        self.assertTrue(self.dialer.stream.delivered)


class ReadyTests(SecuredTestCase):
    """Before READY, the peer is not known to be live."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.theirs = HalfCloseRecorder()
        self.acceptor_path, dialer = paths()
        self.dialer = SecureTransport(self.clock, dialer, self.theirs)
        self.wire = Recorder()
        self.at_wire, self.below = connect(self.clock, self.wire, self.dialer.first)

    def test_paused(self) -> None:
        """It reads on until READY while the application does not, and not longer."""
        self.dialer.pauseProducing()
        self.assertFalse(self.below.paused)
        self.at_wire.write(b"".join(self.acceptor_path.say(Signal.READY)))
        self.settle()
        self.assertTrue(self.below.paused)
        self.at_wire.write(b"".join(self.acceptor_path.seal(b"later")))
        self.settle()
        self.assertEqual(self.theirs.received, b"")
        self.dialer.resumeProducing()
        self.settle()
        self.assertEqual(self.theirs.received, b"later")

    def test_silence(self) -> None:
        """Ten seconds are enough to show that one is there, and no limit after that."""
        for proof, lost in (
            (b"", PeerNotProven),
            (b"".join(self.acceptor_path.say(Signal.READY)), None),
        ):
            self.setUp()
            self.dialer.write(b"x")
            self.at_wire.write(proof)
            self.clock.advance(10.1)
            self.assertEqual(self.theirs.lost and self.lost(self.theirs), lost)

    def test_early(self) -> None:
        """What has come with the handshake is delivered, and before what comes next."""
        for behind in (False, True):
            theirs = HalfCloseRecorder()
            acceptor, dialer = paths()
            early = b"".join([*acceptor.say(Signal.READY), *acceptor.seal(b"one")])
            secured = SecureTransport(self.clock, dialer, theirs, early)
            connect(self.clock, self.wire, secured.first)
            self.assertEqual(theirs.received, b"")
            if behind:
                secured.first.dataReceived(b"".join(acceptor.seal(b"two")))
            self.settle()
            self.assertEqual(theirs.received, b"onetwo" if behind else b"one")

    def test_another_first_record(self) -> None:
        """Data, or an end, of somebody who replays a message."""
        self.at_wire.write(b"".join(self.acceptor_path.say(Signal.END)))
        self.settle()
        self.assertEqual(self.theirs.read_ended, 0)
        self.assertEqual(self.lost(self.theirs), PeerNotProven)
        self.assertTrue(self.below.aborted)


class Socket:
    """
    Accepts everything.

    :ivar sent: how much, each time.
    """

    def __init__(self) -> None:
        self.sent: list[int] = []

    def setblocking(self, flag: bool) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def send(self, data: bytes) -> int:
        self.sent.append(len(data))
        return len(data)


class Producer(Protocol):
    """Writes pieces of 64 KiB until it is paused, and once more when it is resumed."""

    transport: ITCPTransport
    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        while not self.paused:
            self.transport.write(bytes(1 << 16))


class SentTests(SynchronousTestCase):
    """How much goes into one call of the system, with Twisted's own transport."""

    def test_whole_pieces(self) -> None:
        """What a producer has written until it was paused, and no rest of it alone."""
        wire, producer = Socket(), Producer()
        below = Connection(cast(Any, wire), producer, cast(Any, MemoryReactor()))
        _, dialer = paths()
        secured = SecureTransport(Clock(), dialer, producer)
        below.connected = True
        secured.first.makeConnection(below)
        secured.registerProducer(producer, True)
        producer.resumeProducing()
        for _ in range(3):
            below.doWrite()
        self.assertEqual(wire.sent, [2 * ((1 << 16) + 4 * 22)] * 3)


class HandledTests(SecuredTestCase):
    """What is passed to the connection below."""

    def test_handle(self) -> None:
        self.assertIs(self.dialer.getHandle(), self.below_dialer.getHandle())

    def test_unknown_control(self) -> None:
        """What a later version says is ignored."""
        self.settle()
        later = self.dialer.path._sealer.seal(RecordType.CONTROL, b"\x40")
        self.assertNotIn(0x40, set(Control))
        self.acceptor.first.dataReceived(b"".join(later))
        self.assertIsNone(self.ours.lost)

    def test_any_protocol(self) -> None:
        """A protocol that is told nothing but its data."""
        self.secure(ours=cast(Recorder, Protocol()))
        self.dialer.loseConnection()
        self.settle()
        self.assertTrue(self.theirs.lost_cleanly)
