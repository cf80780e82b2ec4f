"""When TLS tells that our direction has ended: not before everything has left."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer

from rdv.test.doubles import HalfCloseRecorder, present
from rdv.test.transport.test_tls import VERSIONS, TLSTestCase


class FlushedTestCase(TLSTestCase):
    """The peer does not read, so that what we write stays in the buffer."""

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


class FlushedTests(FlushedTestCase):
    """``writeConnectionLost``, as our own commands wait for it."""

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
        """What came before it has left; it is the end itself that would be lost."""
        self.over_tls.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((self.above.write_ended, self.peer.notified), (0, False))
        self.read_on()
        self.assertEqual((self.above.write_ended, self.peer.notified), (1, True))

    def test_never_when_the_connection_is_lost(self) -> None:
        self.over_tls.write(b"last")
        self.over_tls.loseWriteConnection()
        self.at_peer.lose(ConnectionLost())
        self.clock.advance(0)
        self.assertIsNotNone(self.above.lost)
        self.assertEqual(self.above.write_ended, 0)

    def test_data_still_comes_in_meanwhile(self) -> None:
        self.over_tls.loseWriteConnection()
        self.deliver(self.peer.sealed(b"answer"))
        self.assertEqual((self.above.received, self.above.write_ended), (b"answer", 0))

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
        producer = cast(IPushProducer, _Producer())
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


class _Producer:
    """Has nothing."""

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...
