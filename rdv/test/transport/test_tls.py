"""TLS with half-close, against a peer on plain OpenSSL: each role, TLS 1.2 and 1.3."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.ssl import TLSVersion
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.handover import one_protocol
from rdv._transport.tls import HalfCloseTLS
from rdv.test.doubles import HalfCloseRecorder, Recorder, connect, ends, present
from rdv.test.transport.doubles import TLSPeer, with_tls
from rdv.test.transport.test_handover import FirstProtocol

VERSIONS = {TLSVersion.TLSv1_2: "TLSv1.2", TLSVersion.TLSv1_3: "TLSv1.3"}


class TLSTestCase(SynchronousTestCase):
    """
    A TLS connection that has changed hands.

    :ivar ours: the protocol above :class:`HalfCloseTLS`.
    :ivar tls: that transport.
    :ivar peer: the other side.
    """

    is_client = False
    version = TLSVersion.TLSv1_3
    tls: HalfCloseTLS

    def setUp(self) -> None:
        self.ours: Recorder = HalfCloseRecorder()
        self.connect()

    def connect(self) -> None:
        """Connect up to the end of the TLS handshake."""
        self.clock = Clock()
        self.first = FirstProtocol(self.ours)
        self.factory = with_tls(one_protocol(self.first), self.clock, self.is_client, self.version)
        self.peer = TLSPeer(not self.is_client)
        self.below, self.at_peer = ends(self.clock)
        self.below.protocol = self.factory.buildProtocol(None)
        self.at_peer.protocol = self.peer
        self.below.protocol.makeConnection(self.below)
        self.peer.makeConnection(self.at_peer)
        self.clock.advance(0)
        self.assertEqual(self.peer.version, VERSIONS[self.version])

    def change_hands(self, *behind: bytes | None, piece: int = 1 << 20) -> HalfCloseTLS:
        """
        Let the first byte come, and more behind it in the same read; None is an end.
        """
        sealed = self.peer.sealed(b"x")
        for data in behind:
            sealed += self.peer.sealed_end() if data is None else self.peer.sealed(data)
        self.deliver(sealed, piece)
        self.assertEqual(self.first.pieces, [b"x"])
        tls = self.ours.transport
        assert isinstance(tls, HalfCloseTLS)
        self.tls = tls
        return tls

    def deliver(self, sealed: bytes, piece: int = 1 << 20) -> None:
        """Let the peer send what it has sealed, in pieces of that many bytes."""
        for start in range(0, len(sealed), piece):
            self.at_peer.write(sealed[start : start + piece])
        self.clock.advance(0)


class HalfCloseTests(TLSTestCase):
    """Our side is the server, with TLS 1.3."""

    def recorder(self) -> HalfCloseRecorder:
        """The protocol, which knows half-close."""
        assert isinstance(self.ours, HalfCloseRecorder)
        return self.ours

    def test_data_both_ways(self) -> None:
        """The first protocol hears no more, of the end neither."""
        tls = self.change_hands()
        tls.write(b"to ")
        tls.writeSequence([b"the ", b"peer"])
        self.deliver(self.peer.sealed(b"to us"))
        self.assertEqual((self.peer.plain, self.ours.received), (b"to the peer", b"to us"))
        tls.loseConnection()
        self.clock.advance(0)
        self.assertEqual((self.first.pieces, self.first.lost), ([b"x"], None))
        self.assertEqual(self.factory.protocols, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_much_in_any_pieces(self) -> None:
        data = bytes(range(256)) * 1024
        tls = self.change_hands()
        for piece in (97, 16_000, 1 << 20):
            self.ours.pieces.clear()
            self.peer.plain = b""
            self.deliver(self.peer.sealed(data), piece)
            tls.write(data)
            self.clock.advance(0)
            self.assertEqual(self.ours.received, data)
            self.assertEqual(self.peer.plain, data)

    def test_our_end(self) -> None:
        """A close_notify goes out, and the other direction goes on."""
        tls = self.change_hands()
        tls.write(b"last")
        self.assertFalse(self.peer.notified)
        tls.loseWriteConnection()
        tls.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((self.peer.plain, self.peer.notified), (b"last", True))
        self.assertEqual(self.recorder().write_ended, 1)
        tls.write(b"dropped")
        self.deliver(self.peer.sealed(b"still here"))
        self.assertEqual((self.peer.plain, self.ours.received), (b"last", b"still here"))
        self.assertEqual((self.peer.read_ended, self.peer.lost, self.ours.lost), (0, None, None))

    def test_both_ends(self) -> None:
        """In either order, each is reported, not answered; then it can be closed in peace."""
        for ours_first in (True, False):
            self.setUp()
            tls = self.change_hands()
            if ours_first:
                tls.loseWriteConnection()
            self.deliver(self.peer.sealed(b"last") + self.peer.sealed_end())
            self.assertEqual((self.ours.received, self.recorder().read_ended), (b"last", 1))
            self.assertEqual((self.peer.notified, self.ours.lost), (ours_first, None))
            if not ours_first:
                tls.write(b"answer")
                tls.loseWriteConnection()
            self.clock.advance(0)
            self.assertEqual(self.peer.plain, b"" if ours_first else b"answer")
            self.assertTrue(self.peer.notified)
            self.assertIsNone(self.ours.lost)
            tls.loseConnection()
            self.clock.advance(0)
            self.assertTrue(self.ours.lost_cleanly)
            self.assertEqual(self.peer.read_ended, 1)

    def test_close_after_the_peers_end(self) -> None:
        """The usual end: what follows on TCP is no loss."""
        self.change_hands()
        self.deliver(self.peer.sealed_end())
        self.at_peer.loseConnection()
        self.clock.advance(0)
        self.assertIsNone(self.ours.lost)
        self.assertEqual(self.recorder().read_ended, 1)

    def test_truncation(self) -> None:
        """
        The TCP stream ends where TLS has not: that is a loss, and no end of reading. Neither a
        record that is not whole nor having said our last word makes it better.
        """
        for whole, our_end, lose in (
            (True, False, "loseConnection"),
            (False, False, "loseConnection"),
            (True, True, "loseConnection"),
            (True, False, "abortConnection"),
        ):
            self.setUp()
            tls = self.change_hands()
            sealed = self.peer.sealed(b"half a stor")
            self.deliver(sealed if whole else sealed[:-1])
            if our_end:
                tls.loseWriteConnection()
            getattr(self.at_peer, lose)()
            self.clock.advance(0)
            failure = present(self.ours.lost)
            failure.trap(ConnectionLost)
            self.assertFalse(failure.check(ConnectionDone))
            received = b"half a stor" if whole else b""
            self.assertEqual((self.ours.received, self.recorder().read_ended), (received, 0))

    def test_same_read(self) -> None:
        """What stands behind the byte that made the transport change hands is not lost."""
        for piece in (1 << 20, 30):
            self.setUp()
            self.change_hands(b"one", b"two", piece=piece)
            self.assertEqual(self.ours.received, b"onetwo")

    def test_end_in_the_same_read(self) -> None:
        """That ends both directions, and is no reason to lose what came before it."""
        self.change_hands(b"all", None)
        self.assertEqual(self.ours.received, b"all")
        self.assertTrue(self.ours.lost)
        self.assertTrue(self.peer.notified)


class HalfCloseTLS12Tests(HalfCloseTests):
    """Our side is the server, with TLS 1.2."""

    version = TLSVersion.TLSv1_2


class HalfCloseClientTests(HalfCloseTests):
    """Our side is the client, with TLS 1.3."""

    is_client = True


class HalfCloseClientTLS12Tests(HalfCloseTests):
    """Our side is the client, with TLS 1.2."""

    is_client = True
    version = TLSVersion.TLSv1_2


class FlushedTests(TLSTestCase):
    """
    ``writeConnectionLost``, as our own commands wait for it: the peer does not read, so that what
    we write stays in the buffer.
    """

    def setUp(self) -> None:
        super().setUp()
        self.over_tls = self.change_hands()
        assert isinstance(self.ours, HalfCloseRecorder)
        self.above = self.ours
        self.at_peer.pauseProducing()

    def read_on(self) -> None:
        """The peer reads again."""
        self.at_peer.resumeProducing()
        self.clock.advance(0)

    def test_not_while_bytes_are_in_the_buffer(self) -> None:
        for version in VERSIONS:
            self.version = version
            self.setUp()
            self.over_tls.write(b"last")
            self.over_tls.loseWriteConnection()
            self.clock.advance(0)
            self.assertEqual(self.above.write_ended, 0)
            self.assertGreater(self.below.buffered, 0)
            self.read_on()
            self.assertEqual((self.peer.plain, self.peer.notified), (b"last", True))
            self.assertEqual(self.above.write_ended, 1)

    def test_not_while_close_notify_alone_is_in_the_buffer(self) -> None:
        """What came before it has left; it is the end itself that would be lost. Data may come."""
        self.over_tls.loseWriteConnection()
        self.deliver(self.peer.sealed(b"answer"))
        self.assertEqual((self.above.write_ended, self.peer.notified), (0, False))
        self.assertEqual(self.above.received, b"answer")
        self.read_on()
        self.assertEqual((self.above.write_ended, self.peer.notified), (1, True))

    def test_never_when_the_connection_is_lost(self) -> None:
        self.over_tls.write(b"last")
        self.over_tls.loseWriteConnection()
        self.at_peer.lose(ConnectionLost())
        self.clock.advance(0)
        self.assertIsNotNone(self.above.lost)
        self.assertEqual(self.above.write_ended, 0)

    def test_closing_waits_for_the_buffer(self) -> None:
        """Closing behind the end of our direction loses nothing either."""
        self.over_tls.write(b"last")
        self.over_tls.loseWriteConnection()
        self.over_tls.loseConnection()
        self.read_on()
        self.assertEqual((self.peer.plain, self.peer.notified), (b"last", True))
        self.assertTrue(self.above.lost_cleanly)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_producer_is_taken_away_once_more(self) -> None:
        """As who stops producing may do after the end, or twice."""
        producer = connect(self.clock, Recorder(), Recorder())[0]
        self.over_tls.registerProducer(producer, True)
        self.over_tls.unregisterProducer()
        self.over_tls.loseWriteConnection()
        self.over_tls.unregisterProducer()
        self.read_on()
        self.assertEqual(self.above.write_ended, 1)

    def test_end_of_tcp_behind_the_end_of_tls(self) -> None:
        """The other side may close first; what we have still to say is none the worse for it."""
        self.read_on()
        self.at_peer.write(self.peer.sealed_end())
        self.at_peer.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((self.above.read_ended, self.above.lost), (1, None))
        self.over_tls.write(b"last")
        self.over_tls.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((self.peer.plain, self.peer.notified), (b"last", True))
        self.assertEqual((self.above.write_ended, self.above.lost), (1, None))
        self.over_tls.loseConnection()
        self.clock.advance(0)
        self.assertTrue(self.above.lost_cleanly)

    def test_half_close_of_no_interest(self) -> None:
        """A protocol that does not know half-close is told nothing, and nothing is left."""
        first: Any = present(self.below.protocol)
        self.assertIs(first, self.over_tls)
        self.over_tls.protocol = self.first
        self.over_tls.loseWriteConnection()
        self.read_on()
        self.assertTrue(self.peer.notified)
        self.assertIsNone(self.below.producer)
