"""
What the application has written before the choice is final: all of it arrives, and once.
"""

from __future__ import annotations

from rdv.client.replay import LIMIT
from rdv.test.client.probation_case import CONFIRM, HELLO, PIECE, Source, WritingTestCase

#: More than goes to the chosen path at once.
MUCH = LIMIT * 3 + 5


class WritingTests(WritingTestCase):
    """One thing after another."""

    def test_goes_out_at_once(self) -> None:
        """Waiting for the acknowledgement would cost a round trip."""
        self.application.write(1000)
        self.clock.advance(0)
        self.assertEqual(self.direct.received, self.application.written)

    def test_held_back(self) -> None:
        """What might have to be sent once more is bounded."""
        self.application.write(MUCH)
        self.clock.advance(0)
        self.assertEqual(self.direct.received, self.application.written[:LIMIT])
        self.acknowledge()
        self.assertEqual(self.direct.received, self.application.written)

    def test_held_back_in_pieces(self) -> None:
        for _ in range(10):
            self.application.write(LIMIT // 4 + 1)
        self.clock.advance(0)
        self.assertEqual(self.direct.received, self.application.written[:LIMIT])
        self.acknowledge()
        self.assertEqual(self.direct.received, self.application.written)

    def test_sent_once_more(self) -> None:
        for size in (0, 1, 1000, MUCH):
            self.begin()
            self.application.write(size)
            self.clock.advance(0)
            self.switch()
            self.assertEqual(self.relay.received, self.application.written)

    def test_goes_on_afterwards(self) -> None:
        self.application.write(MUCH)
        self.switch()
        self.application.write(1000)
        self.clock.advance(0)
        self.assertEqual(self.relay.received, self.application.written)

    def test_written_between_the_loss_and_the_relay(self) -> None:
        self.begin(relay_ready=False)
        self.application.write(1000)
        self.switch()
        self.application.write(MUCH)
        self.relay.deliver(HELLO)
        self.assertEqual(self.relay.far.received, CONFIRM + self.application.written)

    def test_relay_gone(self) -> None:
        """Then there is nothing left to choose."""
        self.application.write(MUCH)
        self.relay.lose()
        self.assertEqual(self.direct.received, self.application.written)

    def test_sequence(self) -> None:
        self.connection.writeSequence([b"one ", b"two"])
        self.switch()
        self.assertEqual(self.relay.received, b"one two")


class EndTests(WritingTestCase):
    """The end of our direction."""

    def test_told_once(self) -> None:
        """What was written goes at once, the end when it is known which way."""
        for switch in (False, True):
            self.begin()
            self.application.write(1000)
            self.connection.loseWriteConnection()
            self.clock.advance(0)
            self.assertEqual(self.direct.received, self.application.written)
            self.assertEqual((self.direct.far.read_ended, self.wire.write_ended), (0, 0))
            chosen = self.relay if switch else self.direct
            (self.switch if switch else self.acknowledge)()
            self.clock.advance(0)
            self.assertEqual((chosen.far.read_ended, self.wire.write_ended), (1, 1))

    def test_behind_what_is_held_back(self) -> None:
        self.application.write(MUCH)
        self.connection.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual(self.direct.far.read_ended, 0)
        self.acknowledge()
        self.assertEqual(self.direct.far.read_ended, 1)
        self.assertEqual(self.direct.received, self.application.written)

    def test_once_more(self) -> None:
        for size in (0, 1000, MUCH):
            self.begin()
            self.application.write(size)
            self.connection.loseWriteConnection()
            self.clock.advance(0)
            self.switch()
            self.assertEqual(self.relay.far.read_ended, 1)
            self.assertEqual(self.relay.received, self.application.written)
            self.relay.deliver(b"answer")
            self.assertEqual(self.wire.received, b"answer")


class ProducerTests(WritingTestCase):
    """Producers are kept from filling the memory."""

    def test_bounded(self) -> None:
        for kind in ("push", "pull"):
            self.begin()
            self.application.run([(kind, 1000)])
            self.clock.advance(0.001)
            self.assertGreaterEqual(len(self.application.written), LIMIT)
            self.assertLess(len(self.application.written), LIMIT + 2 * PIECE)

    def test_all_of_it(self) -> None:
        for kind in ("push", "pull"):
            for end in (self.acknowledge, self.switch):
                self.begin()
                self.application.run([(kind, 20)])
                self.clock.advance(0.001)
                end()
                self.clock.advance(0)
                path = self.relay if self.connection.is_relay else self.direct
                self.assertEqual(len(path.received), 20 * PIECE)
                self.assertEqual(path.received, self.application.written)
                self.assertEqual(self.application.sources[0].stopped, 0)

    def test_only_one(self) -> None:
        self.application.run([("push", 1)])
        self.assertRaises(RuntimeError, self.connection.registerProducer, object(), True)

    def test_pulled_once_in_a_turn(self) -> None:
        """Also when another one has taken its place, or has been there just before."""
        connection = self.connection
        sources = []
        for _ in range(3):
            source = Source(self.clock, 100, lambda: None, lambda: None, streaming=False)
            connection.registerProducer(source, False)
            sources.append(source)
            connection.unregisterProducer()
        connection.registerProducer(sources[-1], False)
        calls = self.clock.getDelayedCalls()
        self.assertEqual(len([call for call in calls if call.getTime() == 0]), 1)

    def test_not_pulled_afterwards(self) -> None:
        self.application.run([("pull", 10)])
        self.connection.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.application.written, b"")

    def test_stopped_with_the_connection(self) -> None:
        """Otherwise it would wait for ever, with a file open perhaps."""
        for kind in ("push", "pull"):
            for end in (self.connection_lost, self.abort, self.abort_in_between):
                self.begin(relay_ready=False)
                self.application.run([(kind, 1000)])
                self.clock.advance(0.001)
                end()
                self.clock.advance(0)
                self.assertEqual(self.application.sources[0].stopped, 1)
                self.assert_nothing_left()

    def connection_lost(self) -> None:
        """Both ways are gone."""
        self.direct.lose()
        self.relay.lose()

    def abort(self) -> None:
        """The application has seen enough."""
        self.connection.abortConnection()

    def abort_in_between(self) -> None:
        """When one way is gone."""
        self.direct.lose()
        self.connection.abortConnection()

    def test_close_waits_for_it(self) -> None:
        """As with TCP."""
        for end in (self.acknowledge, self.switch):
            self.begin()
            self.application.run([("pull", 20)])
            self.connection.loseConnection()
            self.clock.advance(0.001)
            end()
            self.clock.advance(0)
            path = self.relay if self.connection.is_relay else self.direct
            self.assertEqual(len(path.received), 20 * PIECE)
            self.assertTrue(path.ended)
            self.assert_nothing_left()
