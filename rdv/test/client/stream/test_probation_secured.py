"""
Secured paths whose choice is not final: what a peer receives that is not live, or not the same on
both paths.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from rdv import Secret
from rdv._secure.exchange import SecureAttempt
from rdv._secure.path import Signal
from rdv.client.candidates import candidate as candidate_module
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
from rdv.client.stream.replay import LIMIT
from rdv.test.client.stream.probation_case import LONG, Source
from rdv.test.doubles import HalfCloseRecorder, connect, present
from rdv.wire import Role

SECRET = Secret(bytes(range(16)))
LARGE = bytes(range(251)) * 1000


class SecuredPath:
    """
    A secured connection of a candidate.

    :param ours: what our candidates have in common.
    :param theirs: the same for whoever is at the other end.
    """

    def __init__(
        self, clock: Clock, ours: SecureAttempt, theirs: SecureAttempt, *, is_relay: bool
    ) -> None:
        exchange = ours.exchange(is_relay=is_relay)
        self.candidate = Candidate(clock, ours.role, b"", exchange=exchange, is_relay=is_relay)
        self.theirs = theirs.exchange(is_relay=is_relay)
        self.far = HalfCloseRecorder()
        self.far_end, self.near = connect(clock, self.far, self.candidate)
        self._clock = clock
        self._read = 0
        self.plain = b""
        self.ended = False
        self.acknowledged = True

    @property
    def open(self) -> bool:
        return not (self.near.disconnected or self.near.disconnecting or self.near.aborted)

    def send(self, *pieces: bytes) -> None:
        """The other end sends, and it arrives."""
        self.far_end.write(b"".join(pieces))
        self._clock.advance(0)

    def listen(self) -> None:
        """The other end reads what we have sent so far."""
        self._clock.advance(0)
        data, self._read = self.far.received[self._read :], len(self.far.received)
        if self.theirs.path is None or not self.plain_begun:
            data = present(self.theirs.feed(data))
            self.plain_begun = True
        for event in present(self.theirs.path).receive(data):
            if isinstance(event, memoryview):
                self.plain += event
            self.ended = self.ended or event is Signal.END

    plain_begun = False

    def lose(self) -> None:
        self.near.lose(ConnectionLost())
        self._clock.advance(0)


class SecuredTestCase(SynchronousTestCase):
    """A direct path has been chosen, and the relay is there."""

    role = Role.DIALER

    def setUp(self) -> None:
        self.begin()

    def begin(self, *, crossed: bool = False) -> None:
        """
        :param crossed: whether the server has paired our relay with another attempt of a peer.
        """
        self.clock = Clock()
        other = Role.ACCEPTOR if self.role is Role.DIALER else Role.DIALER
        ours, theirs = SecureAttempt(self.role, SECRET), SecureAttempt(other, SECRET)
        at_relay = SecureAttempt(other, SECRET) if crossed else theirs
        self.direct = SecuredPath(self.clock, ours, theirs, is_relay=False)
        self.relay = SecuredPath(self.clock, ours, at_relay, is_relay=True)
        self.patch(candidate_module, "bytes_acknowledged", self._acknowledged)
        self.clock.advance(0)
        if self.role is Role.DIALER:
            self.direct.send(self.direct.theirs.hello)
        else:
            self.confirm(self.direct)
        self.successResultOf(Deferred.fromCoroutine(self.direct.candidate.choose()))
        self.connection = Connection(self.direct.candidate, None, Headers(), self.relay.candidate)
        self.wire = HalfCloseRecorder()
        self.connection.attach(self.wire)
        self.clock.advance(0)

    def confirm(self, path: SecuredPath) -> None:
        """A dialer at the other end does that."""
        path.theirs.feed(path.far.received)
        path._read = len(path.far.received)
        path.plain_begun = True
        path.send(path.theirs.confirm())

    def _acknowledged(self, transport: object) -> int:
        for path in (self.direct, self.relay):
            if path.near is transport:
                return len(path.far.received) if path.acknowledged else 0
        raise AssertionError("nobody's transport")

    def assert_relayed(self) -> None:
        self.clock.advance(0)
        self.assertTrue(self.relay.open and not self.direct.near.connected)
        self.assertTrue(self.connection.is_relay and self.connection.is_secure)

    def assert_direct(self) -> None:
        self.clock.advance(0)
        self.assertTrue(self.direct.open and not self.relay.near.connected)
        self.assertFalse(self.connection.is_relay)
        self.assertTrue(self.connection.is_secure)

    def assert_broken(self) -> None:
        self.clock.advance(LONG)
        self.assertIs(present(self.wire.lost).type, ConnectionLost)
        self.assertFalse(self.direct.near.connected or self.relay.near.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DialerTests(SecuredTestCase):
    """Only READY shows a dialer that its peer is there."""

    def ready(self, path: SecuredPath) -> None:
        """The acceptor has CONFIRM, and says so."""
        path.listen()
        path.send(*present(path.theirs.path).say(Signal.READY))

    def test_ready(self) -> None:
        """The choice is final as soon as what was said behind CONFIRM is acknowledged, too."""
        self.relay.send(self.relay.theirs.hello)
        self.connection.write(b"x")
        self.clock.advance(1)
        self.assertTrue(self.relay.open)
        self.ready(self.direct)
        self.assert_direct()
        self.direct.listen()
        self.assertEqual(self.direct.plain, b"x")

    def test_no_ready(self) -> None:
        """
        A recording, or one whose READY is lost: the relay gets all, how much it may be and however
        it ends, and however the direct path does.
        """
        for size, dies, end in (
            (0, False, ""),
            (5, False, "loseWriteConnection"),
            (LIMIT - 1, True, ""),
            (LIMIT, False, "loseConnection"),
            (LIMIT + 1, True, "loseWriteConnection"),
            (len(LARGE), False, "loseConnection"),
        ):
            self.begin()
            self.relay.send(self.relay.theirs.hello)
            for start in range(0, size, 10_000):
                self.connection.write(LARGE[start : min(start + 10_000, size)])
            if end:
                getattr(self.connection, end)()
            self.clock.advance(0)
            self.assertLess(len(self.direct.far.received), LIMIT + 300)
            if dies:
                self.direct.lose()
            else:
                self.clock.advance(1.6)
            self.assert_relayed()
            self.ready(self.relay)
            self.relay.listen()
            self.assertTrue(self.relay.plain == LARGE[:size], size)
            self.assertEqual(self.relay.ended, bool(end))
            self.relay.lose()
            self.assert_broken()

    def test_not_through(self) -> None:
        """READY comes, and what is behind CONFIRM does not get through."""
        self.relay.send(self.relay.theirs.hello)
        received = len(self.direct.far.received)
        self.patch(candidate_module, "bytes_acknowledged", lambda transport: received)
        self.connection.write(b"x")
        self.ready(self.direct)
        self.clock.advance(4.9)
        self.assertTrue(self.direct.open)
        self.clock.advance(0.2)
        self.assert_relayed()
        self.ready(self.relay)
        self.relay.listen()
        self.assertEqual(self.relay.plain, b"x")

    def test_exporter(self) -> None:
        """There is none as long as another path may take its place, and then that one's."""
        self.relay.send(self.relay.theirs.hello)
        self.connection.write(b"x")
        self.direct.acknowledged = False
        self.ready(self.direct)
        self.assertRaises(RuntimeError, self.connection.exporter, "test", 20)
        self.direct.lose()
        self.assertRaises(RuntimeError, self.connection.exporter, "test", 20)
        self.ready(self.relay)
        theirs = present(self.relay.theirs.path).session.export(b"test", 20)
        self.assertEqual(self.connection.exporter("test", 20), theirs)

    def test_another_acceptor(self) -> None:
        """
        It is as good: nothing has been written to the first, which has not proved itself. It takes
        its place at once when it is heard.
        """
        for written in (b"request", b""):
            self.begin(crossed=True)
            self.connection.write(written)
            received = self.direct.far.received
            self.relay.send(self.relay.theirs.hello)
            self.clock.advance(0.1)
            self.assert_relayed()
            self.assertEqual(self.direct.far.received, received)
            self.ready(self.relay)
            self.relay.listen()
            self.assertEqual(self.relay.plain, written)

    def test_ready_before_the_relay(self) -> None:
        """What was held back is written, and the relay is not needed to know who it is."""
        self.connection.write(b"request")
        self.clock.advance(1)
        self.direct.listen()
        self.assertEqual(self.direct.plain, b"")
        self.ready(self.direct)
        self.clock.advance(0.1)
        self.direct.listen()
        self.assertEqual(self.direct.plain, b"request")
        self.relay.send(self.relay.theirs.hello)
        self.clock.advance(1)
        self.assert_direct()

    def test_producer(self) -> None:
        """One that has not finished goes on on the relay, and one that has ended it, too."""
        for streaming in (True, False):
            for end in ("", "loseWriteConnection", "loseConnection"):
                self.begin()
                self.relay.send(self.relay.theirs.hello)
                write = partial(self.connection.write, LARGE[:20_000])
                done = self.connection.unregisterProducer
                source = Source(self.clock, 8, write, done, streaming=streaming)
                self.connection.registerProducer(source, streaming)
                source.begin()
                if end:
                    getattr(self.connection, end)()
                self.clock.advance(1)
                self.clock.advance(1)
                self.assert_relayed()
                self.ready(self.relay)
                self.clock.advance(0)
                self.relay.listen()
                self.assertTrue(self.relay.plain == LARGE[:20_000] * 8, (streaming, end))
                self.assertEqual(self.relay.ended, bool(end))
                self.connection.abortConnection()
                self.clock.advance(0)
                self.assertEqual((self.clock.getDelayedCalls(), source.stopped), ([], 0))

    def test_forged(self) -> None:
        """Whoever is on the direct path and writes into it cannot keep us from the relay."""
        self.relay.send(self.relay.theirs.hello)
        self.connection.write(b"x")
        self.direct.send(bytes(100))
        self.assert_relayed()
        self.ready(self.relay)
        self.relay.listen()
        self.assertEqual((self.relay.plain, self.wire.received), (b"x", b""))


class AcceptorTests(SecuredTestCase):
    """An acceptor follows the same dialer, and no other."""

    role = Role.ACCEPTOR

    def records(self, path: SecuredPath, data: bytes) -> list[bytes]:
        return present(path.theirs.path).seal(data)

    def test_the_same_dialer(self) -> None:
        """What was written comes on the relay; the exporter is that of the relay."""
        self.connection.write(LARGE)
        self.assertRaises(RuntimeError, self.connection.exporter, "test", 20)
        self.confirm(self.relay)
        self.assert_relayed()
        self.relay.listen()
        self.assertTrue(self.relay.plain == LARGE)
        self.relay.send(*self.records(self.relay, b"question"))
        self.assertEqual(self.wire.received, b"question")
        theirs = present(self.relay.theirs.path).session.export(b"test", 20)
        self.assertEqual(self.connection.exporter("test", 20), theirs)

    def test_another_dialer(self) -> None:
        """A server that pairs us with it gets the relay closed."""
        self.begin(crossed=True)
        self.connection.write(b"x")
        self.confirm(self.relay)
        self.assert_direct()
        self.assertNotIn(b"x", self.relay.plain)
        self.direct.send(*self.records(self.direct, b"question"))
        self.assertEqual(self.wire.received, b"question")

    def test_a_record(self) -> None:
        """Behind the first one it does not leave."""
        self.direct.send(*self.records(self.direct, b"question"))
        self.assert_direct()
        self.direct.lose()
        self.assert_broken()
        self.assertEqual(self.wire.received, b"question")

    def test_part_of_a_record(self) -> None:
        """It has not reached the application, and comes whole on the relay."""
        record = b"".join(self.records(self.direct, b"question"))
        self.direct.send(record[:-1])
        self.direct.lose()
        self.confirm(self.relay)
        self.relay.send(*self.records(self.relay, b"question"))
        self.assertEqual(self.wire.received, b"question")
        self.assert_relayed()
