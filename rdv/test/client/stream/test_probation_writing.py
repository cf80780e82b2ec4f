"""
What the application has written before the choice is final: all of it arrives, and once.
"""

from __future__ import annotations

from typing import Any

from rdv.client.stream.replay import LIMIT
from rdv.test.client.stream.probation_case import (
    CONFIRM,
    HELLO,
    LONG,
    PIECE,
    Path,
    Source,
    WritingTestCase,
)

#: More than goes to the chosen path at once.
MUCH = LIMIT * 3 + 5


class ReplayTestCase(WritingTestCase):
    """:ivar path: the one that is left in the end."""

    @property
    def path(self) -> Path:
        return self.relay if self.connection.is_relay else self.direct

    def assert_arrives(self) -> None:
        """All of it, once, on the path that is left."""
        self.clock.advance(0)
        self.assertEqual(self.path.received, self.application.written)

    def lose_relay(self) -> None:
        """There is nothing left to choose."""
        self.relay.lose()


class WritingTests(ReplayTestCase):
    """Single writes, one after the other."""

    def test_bounded(self) -> None:
        """
        It goes out at once, as waiting for the acknowledgement would cost a round trip; but what
        might have to be sent once more is bounded.
        """
        for pieces in ([1000], [MUCH], [LIMIT // 4 + 1] * 10):
            for end in (self.acknowledge, self.switch, self.lose_relay):
                self.begin()
                for size in pieces:
                    self.application.write(size)
                self.clock.advance(0)
                self.assertEqual(self.direct.received, self.application.written[:LIMIT])
                end()
                self.assert_arrives()
                self.connection.writeSequence([b"and ", b"more"])
                self.application.written += b"and more"
                self.assert_arrives()

    def test_between_the_loss_and_the_relay(self) -> None:
        """The first of it does not shorten the time that the relay has."""
        for before in (0, 1000):
            self.begin(relay_ready=False)
            self.application.write(before)
            self.switch()
            self.application.write(MUCH)
            self.clock.advance(9)
            self.relay.deliver(HELLO)
            self.assertEqual(self.relay.far.received, CONFIRM + self.application.written)

    def test_end(self) -> None:
        """It is told once, when it is known which way, and behind what is held back."""
        for size in (0, 1000, MUCH):
            for end in (self.acknowledge, self.switch):
                self.begin()
                self.application.write(size)
                self.connection.loseWriteConnection()
                self.clock.advance(0)
                self.assertEqual((self.direct.far.read_ended, self.wire.write_ended), (0, 0))
                end()
                self.assert_arrives()
                self.assertEqual((self.path.far.read_ended, self.wire.write_ended), (1, 1))
                self.path.deliver(b"answer")
                self.assertEqual(self.wire.received, b"answer")


class ProducerTests(ReplayTestCase):
    """Producers are kept from filling the memory."""

    def test_bounded(self) -> None:
        """And may go on afterwards; what closes waits for them, as with TCP."""
        for kind in ("push", "pull"):
            for end in (self.acknowledge, self.switch):
                for closes in (False, kind == "pull"):
                    self.begin()
                    self.application.run([(kind, 20)])
                    self.clock.advance(0.001)
                    self.assertIn(len(self.application.written), range(LIMIT, LIMIT + 2 * PIECE))
                    if closes:
                        self.connection.loseConnection()
                    end()
                    self.clock.advance(0)
                    self.assertEqual(len(self.application.written), 20 * PIECE)
                    self.assert_arrives()
                    self.assertEqual(self.application.sources[0].stopped, 0)
                    self.assertEqual(self.path.ended, closes)

    def test_one_after_another(self) -> None:
        """Each is paused for itself, once, also when it comes too late."""
        self.application.write(LIMIT)
        for _ in range(2):
            source = self.source(streaming=True)
            self.assertTrue(source._paused)
            self.patch(source, "pauseProducing", lambda: self.fail("it is paused"))
            self.application.write(1)
            self.assertRaises(RuntimeError, self.connection.registerProducer, object(), True)
            self.connection.unregisterProducer()

    def test_pulled_once_in_a_turn(self) -> None:
        """Also when another one has taken its place, or has been there just before."""
        source = self.source(streaming=False)
        for _ in range(2):
            self.connection.unregisterProducer()
            source = self.source(streaming=False)
        self.connection.unregisterProducer()
        self.connection.registerProducer(source, False)
        pull = self.next_pull()
        self.patch(source, "resumeProducing", self.replaces)
        self.clock.calls.remove(pull)
        pull.called = True
        pull.func()
        self.next_pull()

    def next_pull(self) -> Any:
        """The only one of this turn."""
        (pull,) = [call for call in self.clock.calls if call.getTime() == 0]
        return pull

    def test_pull_that_ends_it(self) -> None:
        """It is the last one."""
        pulls: list[None] = []

        def pull() -> None:
            pulls.append(None)
            self.abort()

        self.patch(self.source(streaming=False), "resumeProducing", pull)
        self.clock.advance(0)
        self.assertEqual(len(pulls), 1)

    def replaces(self) -> None:
        """Another producer comes."""
        self.connection.unregisterProducer()
        self.source(streaming=False)

    def source(self, *, streaming: bool) -> Source:
        """A producer that writes nothing."""
        source = Source(self.clock, 100, lambda: None, lambda: None, streaming=streaming)
        self.connection.registerProducer(source, streaming)
        return source

    def test_stopped_with_the_connection(self) -> None:
        """Otherwise it would wait for ever, with a file open perhaps."""
        for kind in ("push", "pull"):
            for end in (self.lose_both, self.abort, self.abort_in_between):
                for begun in (False, True):
                    self.begin(relay_ready=False)
                    self.application.run([(kind, 1000)])
                    if begun:
                        self.clock.advance(0.001)
                    written = self.application.written
                    end()
                    self.clock.advance(LONG)
                    if end == self.abort:
                        self.assertEqual(self.application.written, written)
                    self.assertEqual(self.application.sources[0].stopped, 1)
                    self.assert_nothing_left()

    def lose_both(self) -> None:
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
