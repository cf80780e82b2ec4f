"""
Direct candidates are offered to a stream that has begun on the relay.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv._secure.exchange import SecureAttempt
from rdv.client.candidates.candidate import Candidate
from rdv.client.race.choice import Choice
from rdv.errors import ProtocolError
from rdv.test.client.race.doubles import FakeStream
from rdv.test.doubles import Recorder, connect, present
from rdv.wire import Role

SECRET = Secret(bytes(range(16)))
#: Seconds: less than a peer on a short path has for its answer, and more.
SOON, LATE = 1.4, 1.6


class Direct:
    """
    A connected candidate, and the peer's end of it.

    :param ours, theirs: both attempts.
    :ivar far: what the peer has received.
    :ivar taken: the result of choosing it.
    """

    taken: Deferred[Candidate]

    def __init__(
        self, clock: Clock, ours: SecureAttempt, theirs: SecureAttempt, *, is_relay: bool = False
    ) -> None:
        exchange = ours.exchange(is_relay=is_relay)
        self.theirs = theirs.exchange(is_relay=is_relay)
        self.candidate = Candidate(clock, ours.role, b"", exchange=exchange, is_relay=is_relay)
        self.far = Recorder()
        self.at_far, self.transport = connect(clock, self.far, self.candidate)
        clock.advance(0)

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return bool(self.transport.connected) and not self.transport.aborted


class JoiningTestCase(SynchronousTestCase):
    """The relay was chosen, and both sides can move."""

    role = Role.DIALER

    def setUp(self) -> None:
        self.clock = Clock()
        other = Role.ACCEPTOR if self.role is Role.DIALER else Role.DIALER
        self.ours = SecureAttempt(self.role, SECRET, moves=True)
        self.theirs = SecureAttempt(other, SECRET, moves=True)
        self.choice = Choice(DeferredLock())
        self.stream = FakeStream()
        self.relay = self.ready(is_relay=True)
        self.successResultOf(self.relay.taken)

    def ready(self, *, is_relay: bool = False) -> Direct:
        """One more candidate is ready, and waits for its turn."""
        direct = Direct(self.clock, self.ours, self.theirs, is_relay=is_relay)
        if self.role is Role.DIALER:
            direct.at_far.write(direct.theirs.hello)
        else:
            direct.theirs.feed(direct.far.received)
            direct.at_far.write(direct.theirs.confirm())
        self.clock.advance(0)
        self.successResultOf(direct.candidate.shaken())
        direct.taken = Deferred.fromCoroutine(self.choice.take(direct.candidate))
        self.clock.advance(0)
        if is_relay and self.role is Role.DIALER:
            direct.theirs.feed(direct.far.received)
        return direct

    def move(self) -> None:
        """The stream has begun."""
        self.ours.stream = self.relay.candidate.path
        self.theirs.stream = self.relay.theirs.path
        self.choice.move(self.stream, self.role, self.stream.moved.append)
        self.clock.advance(0)

    def assert_over(self) -> None:
        """Nothing is awaited."""
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DialerTests(JoiningTestCase):
    """A dialer offers one at a time."""

    def test_taken(self) -> None:
        """One that waited while the relay was chosen says CONFIRM only when the stream begins."""
        direct = self.ready()
        self.assertEqual(direct.far.received, b"")
        self.move()
        self.assertEqual(direct.theirs.feed(direct.far.received), b"")
        (joining,) = self.stream.joins
        self.assertIs(joining.path, direct.candidate.path)
        self.assertIs(present(joining.transport), direct.transport)
        direct.at_far.write(b"records")
        self.clock.advance(SOON)
        self.assertEqual(joining.received, b"records")
        self.assertNoResult(direct.taken)
        joining.proven.callback(None)
        self.assertIs(self.successResultOf(direct.taken), direct.candidate)
        self.assertEqual(self.stream.moved, [direct.candidate])
        self.assertTrue(direct.is_open)
        self.assert_over()

    def test_suspect(self) -> None:
        """The peer's answer says more than its system's acknowledgement."""
        self.patch(Candidate, "answered", lambda each: False)
        self.move()
        direct = Direct(self.clock, self.ours, self.theirs)
        direct.candidate.suspect = True
        direct.at_far.write(direct.theirs.hello)
        self.clock.advance(0)
        taken = Deferred.fromCoroutine(self.choice.take(direct.candidate))
        self.stream.joins[0].proven.callback(None)
        self.successResultOf(taken)

    def test_next(self) -> None:
        """When one is lost, or not answered in time, the next has its turn."""
        for lost in (True, False):
            self.setUp()
            one, other = self.ready(), self.ready()
            self.move()
            self.assertEqual(len(self.stream.joins), 1)
            self.assertEqual(other.far.received, b"")
            if lost:
                one.at_far.abortConnection()
                self.clock.advance(0)
            else:
                self.clock.advance(LATE)
            self.failureResultOf(one.taken, ConnectionLost)
            self.assertFalse(one.is_open)
            self.assertEqual(len(self.stream.joins), 2)
            self.stream.joins[1].proven.callback(None)
            self.successResultOf(other.taken)
            self.assert_over()

    def test_cannot_join(self) -> None:
        """One of another attempt of the peer is closed, and nothing else."""
        one, other = self.ready(), self.ready()
        self.patch(self.ours, "meet", self.refuse_once(self.ours.meet))
        self.move()
        self.failureResultOf(one.taken, ProtocolError)
        self.assertEqual((one.is_open, one.far.received), (False, b""))
        self.stream.joins[0].proven.callback(None)
        self.successResultOf(other.taken)

    def refuse_once(self, meet: object) -> object:
        """A check that fails the first time."""

        def check(*args: object, **kwargs: object) -> None:
            self.ours.meet = meet  # type: ignore[method-assign, assignment]
            raise ProtocolError("another attempt")

        return check

    def test_lost_while_it_waits(self) -> None:
        """Nothing is said on it."""
        one, other = self.ready(), self.ready()
        one.at_far.abortConnection()
        self.clock.advance(0)
        self.move()
        self.failureResultOf(one.taken, ConnectionLost)
        self.assertEqual(len(self.stream.joins), 1)
        self.assertIs(self.stream.joins[0].path, other.candidate.path)
        other.taken.cancel()
        self.failureResultOf(other.taken, CancelledError)

    def test_cancelled(self) -> None:
        """What was offered is reset, in the same turn; the next is not offered any more."""
        one, other = self.ready(), self.ready()
        self.move()
        one.taken.cancel()
        self.failureResultOf(one.taken, CancelledError)
        self.assertFalse(one.is_open)
        other.taken.cancel()
        self.failureResultOf(other.taken, CancelledError)
        self.assertEqual((len(self.stream.joins), other.far.received), (1, b""))
        self.clock.advance(0)
        self.assert_over()


class AcceptorTests(JoiningTestCase):
    """An acceptor takes what the dialer offers, as long as none has taken over."""

    role = Role.ACCEPTOR

    def test_several(self) -> None:
        """The dialer may have given up one of them."""
        self.move()
        one, other = self.ready(), self.ready()
        self.assertEqual(len(self.stream.joins), 2)
        self.clock.advance(100)
        self.stream.joins[1].proven.callback(None)
        self.assertIs(self.successResultOf(other.taken), other.candidate)
        self.assertNoResult(one.taken)
        self.assertEqual(self.stream.moved, [other.candidate])
        one.taken.cancel()
        self.failureResultOf(one.taken, CancelledError)

    def test_cancelled(self) -> None:
        """The dialer may be about to use it: it stays, and takes over if it does."""
        self.move()
        one, other = self.ready(), self.ready()
        for direct in one, other:
            direct.taken.cancel()
            self.failureResultOf(direct.taken, CancelledError)
        self.clock.advance(100)
        self.assertEqual((one.is_open, other.is_open), (True, True))
        one.at_far.abortConnection()
        self.clock.advance(0)
        self.stream.joins[1].proven.callback(None)
        self.assertEqual(self.stream.moved, [other.candidate])

    def test_lost(self) -> None:
        """The next is taken as well."""
        self.move()
        one = self.ready()
        one.at_far.abortConnection()
        self.clock.advance(0)
        self.failureResultOf(one.taken, ConnectionLost)
        self.stream.joins[0].proven.addErrback(lambda _: None)
        other = self.ready()
        self.stream.joins[1].proven.callback(None)
        self.successResultOf(other.taken)

    def test_records_behind(self) -> None:
        """What has come with CONFIRM is not lost."""
        self.move()
        direct = Direct(self.clock, self.ours, self.theirs)
        direct.theirs.feed(direct.far.received)
        direct.at_far.write(direct.theirs.confirm() + b"records")
        self.clock.advance(0)
        taken = Deferred.fromCoroutine(self.choice.take(direct.candidate))
        self.assertEqual(self.stream.joins[0].received, b"records")
        taken.cancel()
        self.failureResultOf(taken, CancelledError)

    def test_confirmed_before(self) -> None:
        """One that would begin another stream never gets a turn."""
        waiting = self.ready()
        self.move()
        self.assertNoResult(waiting.taken)
        direct = self.ready()
        self.stream.joins[0].proven.callback(None)
        self.successResultOf(direct.taken)
        waiting.taken.cancel()
        self.failureResultOf(waiting.taken, CancelledError)
        self.assertEqual(len(self.stream.joins), 1)
