"""Bytes through the relay: both ways, half-close, resets, back-pressure, taps, idleness."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost

from rdv.server import Pair
from rdv.test.doubles import MemoryTransport, present
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase


class StreamTests(ServerTestCase):
    """A relayed pair."""

    def setUp(self) -> None:
        super().setUp()
        self.pairs: list[Pair] = []
        self.open(serve=self.pairs.append, idle_timeout=0)

    def both_ways(self) -> list[tuple[Guest, Guest]]:
        """Each as the sender of a pair of its own."""
        one, two = self.relayed_pair(), self.relayed_pair()
        return [one, (two[1], two[0])]

    def test_counts(self) -> None:
        """Application bytes, each direction for itself; the lines do not count."""
        dialer, acceptor = self.dial(), self.accept()
        pair = self.pairs[0]
        self.assertEqual((pair.dialer_bytes, pair.acceptor_bytes), (0, 0))
        acceptor.here.write(HELLO + b"abc")
        dialer.here.write(CONFIRM)
        dialer.here.write(b"12345")
        self.settle()
        self.assertEqual((pair.dialer_bytes, pair.acceptor_bytes), (5, 3))
        dialer.here.write(b"67")
        self.settle()
        self.close_all(dialer, acceptor)
        self.assertEqual((pair.dialer_bytes, pair.acceptor_bytes), (7, 3))

    def test_half_close(self) -> None:
        """The end of one direction is passed on as just that, behind all its bytes."""
        for first, second in self.both_ways():
            first.here.write(b"question")
            first.here.loseWriteConnection()
            self.settle()
            self.assertEqual((second.take(), second.read_ended), (b"question", 1))
            self.assertEqual((first.lost, second.lost, first.read_ended), (None, None, 0))
            second.here.write(b"answer" * 1000)
            self.settle()
            self.assertEqual(first.take(), b"answer" * 1000)
            second.here.loseWriteConnection()
            self.settle()
            self.assertEqual(first.read_ended, 1)
            self.close_all(first, second)
        self.assert_over(relayed=2)

    def test_closed_when_both_have_ended(self) -> None:
        """The server does not wait for the clients to close."""
        dialer, acceptor = self.relayed_pair()
        dialer.here.loseWriteConnection()
        acceptor.here.loseWriteConnection()
        self.settle()
        self.assertFalse(dialer.at_server.connected or acceptor.at_server.connected)
        self.assert_over(relayed=1)

    def test_end_in_the_same_turn_as_the_line(self) -> None:
        """A dialer that has nothing more to say than one short message."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        dialer.here.write(CONFIRM + b"bye")
        dialer.here.loseWriteConnection()
        self.settle()
        self.assertEqual((acceptor.received, acceptor.read_ended), (CONFIRM + b"bye", 1))
        acceptor.here.write(b"and you")
        self.settle()
        self.assertEqual(dialer.received, HELLO + b"and you")

    def test_reset_is_passed_on_as_a_reset(self) -> None:
        """A truncated stream must not look complete."""
        for broken, other in self.both_ways():
            broken.here.write(b"half a stor")
            self.settle()
            broken.here.abortConnection()
            self.settle()
            failure = present(other.lost)
            failure.trap(ConnectionLost)
            self.assertFalse(failure.check(ConnectionDone))
            self.assertEqual(other.read_ended, 0)
        self.assert_over(relayed=2)

    def test_other_is_lost_at_once(self) -> None:
        """As one is that has been written to the end by then; the pair ends once."""
        for broken, other in self.both_ways():
            cut = other.at_server
            self.patch(cut, "abortConnection", lambda cut=cut: cut.lose(ConnectionLost()))
            broken.here.abortConnection()
            self.settle()
        self.assert_over(relayed=2)

    def test_closed_by_a_wrapper(self) -> None:
        """As ``twisted.protocols.policies`` has them: to the stream that is a break, too."""
        for other_ends in (False, True):
            for closed, other in self.both_ways():
                if other_ends:
                    other.here.loseWriteConnection()
                    self.settle()
                closed.at_server.loseConnection()
                self.settle()
                self.assertFalse(present(other.lost).check(ConnectionDone))
                self.assertEqual(other.read_ended, 0)
        self.assert_over(relayed=4)

    def test_back_pressure(self) -> None:
        """One that does not read stops its partner; the server holds little, and loses nothing."""
        for sender, receiver in self.both_ways():
            receiver.here.pauseProducing()
            data = bytes(range(256)) * 16
            count = 0
            while not sender.at_server.paused:
                sender.here.write(data)
                count += 1
                self.settle()
                self.assertLess(count, 100)
            for _ in range(100):
                sender.here.write(data)
            self.settle()
            self.assertLessEqual(
                receiver.at_server.buffered + sender.at_server.buffered,
                MemoryTransport.limit + len(data),
            )
            receiver.here.write(b"the other direction is free")
            self.settle()
            self.assertEqual(sender.take(), b"the other direction is free")
            receiver.here.resumeProducing()
            self.settle()
            self.assertEqual(receiver.received, data * (count + 100))


class TapTests(ServerTestCase):
    """``tap_dialer`` and ``tap_acceptor``."""

    def test_application_bytes_of_each(self) -> None:
        seen: dict[str, list[bytes]] = {"dialer": [], "acceptor": []}

        def serve(pair: Pair) -> None:
            pair.tap_dialer = seen["dialer"].append
            pair.tap_acceptor = seen["acceptor"].append

        self.open(serve=serve)
        dialer, acceptor = self.relayed_pair()
        dialer.here.write(b"one")
        acceptor.here.write(b"two")
        self.settle()
        dialer.here.write(b"three")
        self.settle()
        self.assertEqual(seen, {"dialer": [b"one", b"three"], "acceptor": [b"two"]})
        self.assertEqual((dialer.received, acceptor.received), (b"two", b"onethree"))


class IdleTests(ServerTestCase):
    """``idle_timeout``."""

    def setUp(self) -> None:
        super().setUp()
        self.open(idle_timeout=60)

    def test_set_by_the_hook(self) -> None:
        def serve(pair: Pair) -> None:
            self.assertEqual(pair.idle_timeout, 60)
            pair.idle_timeout = 5

        self.open(idle_timeout=60, serve=serve)
        dialer, acceptor = self.relayed_pair()
        self.clock.advance(5)
        self.settle()
        self.assertTrue(dialer.lost and acceptor.lost)
