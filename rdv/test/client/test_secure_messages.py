"""
Modified handshakes on candidates of secured streams: each bit of a line and of the message after it
flipped; cut, repeated and reordered. They are refused, other candidates continue, and no
application gets any data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv._secure.exchange import SecureAttempt, SecureExchange
from rdv._secure.handshake import MESSAGE_SIZE
from rdv._transport.secured import PeerNotProven
from rdv.client.candidates.candidate import Candidate
from rdv.errors import ProtocolError
from rdv.test.doubles import HalfCloseRecorder, connect, present
from rdv.wire import Role, confirm_line, hello_line

SECRET = Secret(bytes(range(16)))
#: The bytes that either side sends before its first record; CONFIRM is two bytes longer.
HELLO_SIZE = len(hello_line(SECRET.direct_token)) + MESSAGE_SIZE
CONFIRM_SIZE = len(confirm_line(SECRET.direct_token)) + MESSAGE_SIZE
RELAYED = st.booleans()


class Path:
    """
    One of our candidates, and its other end.

    :ivar shaken: the result of :meth:`Candidate.shaken`; None as long as there is none.
    :ivar heard: what the other end has received.
    """

    def __init__(self, clock: Clock, ours: SecureAttempt, *, is_relay: bool) -> None:
        self._clock = clock
        exchange = ours.exchange(is_relay=is_relay)
        self.candidate = Candidate(clock, ours.role, b"", exchange=exchange, is_relay=is_relay)
        self._far = HalfCloseRecorder()
        self._wire, _ = connect(clock, self._far, self.candidate)
        self.shaken: Candidate | Failure | None = None
        clock.advance(0)
        self.candidate.shaken().addBoth(self._ended)

    def _ended(self, result: Candidate | Failure) -> None:
        self.shaken = result

    @property
    def heard(self) -> bytes:
        self._clock.advance(0)
        return self._far.received

    def say(self, data: bytes) -> None:
        """The other end says that."""
        self._wire.write(data)
        self._clock.advance(0)


class MessageTestCase(SynchronousTestCase):
    """
    One side of an attempt is ours, and everything that the other side sends passes through the
    test.

    :cvar role: ours.
    :cvar size: the number of bytes that the other side sends.
    """

    role: Role
    size: int

    def begin(self) -> None:
        """A new attempt of each."""
        other = Role.DIALER if self.role is Role.ACCEPTOR else Role.ACCEPTOR
        self.clock = Clock()
        self.ours, self.theirs = SecureAttempt(self.role, SECRET), SecureAttempt(other, SECRET)

    def path(self, *, is_relay: bool) -> tuple[Path, SecureExchange, bytes]:
        """A candidate, the other end, and what that would say."""
        path = Path(self.clock, self.ours, is_relay=is_relay)
        other = self.theirs.exchange(is_relay=is_relay)
        if self.role is Role.DIALER:
            return path, other, other.hello
        other.feed(path.heard)
        return path, other, other.confirm()

    def check(self, change: Callable[[bytes], bytes], *, is_relay: bool) -> None:
        """What it becomes by ``change`` is refused, and the next one, unchanged, is not."""
        self.begin()
        path, _, said = self.path(is_relay=is_relay)
        before, changed = path.heard, change(said)
        if changed == said or (self.role is Role.ACCEPTOR and changed.startswith(said)):
            return  # the real message; data after a CONFIRM is a matter of records
        path.say(changed)
        self.clock.advance(5.1)
        if said.startswith(changed) and len(changed) < self.size - MESSAGE_SIZE:
            self.assertIsNone(path.shaken)  # a line may take as long as the whole race
        else:
            self.assertIsInstance(path.shaken, Failure)
            self.assertIsInstance(cast(Failure, path.shaken).value, ProtocolError)
        self.assertEqual(path.heard, before)
        self.goes_on(is_relay=is_relay)

    def goes_on(self, *, is_relay: bool) -> None:
        """A candidate of the same attempt, on which both say what they have to."""
        path, other, said = self.path(is_relay=is_relay)
        path.say(said)
        self.assertIs(path.shaken, path.candidate)
        chosen = Deferred.fromCoroutine(path.candidate.choose())
        self.successResultOf(chosen)
        if self.role is Role.DIALER:
            self.assertEqual(other.feed(path.heard), b"")
        self.assertEqual(present(other.path).session, present(path.candidate.path).session)

    # The modifications, the same for both sides.

    def check_bits(self) -> None:
        """Each bit, on either kind of path."""
        for is_relay in (False, True):
            for bit in range(8 * self.size):
                self.check(partial(flipped, bit), is_relay=is_relay)

    def check_cuts(self) -> None:
        """Cut anywhere, and then silence: a message that has begun has five seconds."""
        for is_relay in (False, True):
            for size in range(self.size):
                self.check(itemgetter(slice(size)), is_relay=is_relay)


def flipped(bit: int, data: bytes) -> bytes:
    """The same but for one bit."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class HelloTests(MessageTestCase):
    """What a dialer receives."""

    role, size = Role.DIALER, HELLO_SIZE

    def test_bits(self) -> None:
        self.check_bits()

    def test_cut(self) -> None:
        self.check_cuts()

    @example(0, HELLO_SIZE, False)
    @example(HELLO_SIZE - 1, HELLO_SIZE, True)
    @given(st.integers(0, HELLO_SIZE), st.integers(0, HELLO_SIZE), RELAYED)
    def test_repeated(self, start: int, end: int, is_relay: bool) -> None:
        """Any part of it, the whole of it too."""
        self.check(lambda said: said[:end] + said[start:], is_relay=is_relay)

    @given(st.permutations(range(5)), st.sets(st.integers(1, HELLO_SIZE - 1), min_size=4), RELAYED)
    def test_reordered(self, order: list[int], cuts: set[int], is_relay: bool) -> None:
        """Its pieces."""
        self.check(lambda said: reordered(said, order, sorted(cuts)[:4]), is_relay=is_relay)


class ConfirmTests(MessageTestCase):
    """What an acceptor receives."""

    role, size = Role.ACCEPTOR, CONFIRM_SIZE

    def test_bits(self) -> None:
        self.check_bits()

    def test_cut(self) -> None:
        self.check_cuts()

    @given(st.integers(0, CONFIRM_SIZE - 1), st.integers(0, CONFIRM_SIZE - 1), RELAYED)
    def test_repeated(self, start: int, end: int, is_relay: bool) -> None:
        """Any part of it within it."""
        self.check(lambda said: said[:end] + said[start:], is_relay=is_relay)

    @given(
        st.permutations(range(5)), st.sets(st.integers(1, CONFIRM_SIZE - 1), min_size=4), RELAYED
    )
    def test_reordered(self, order: list[int], cuts: set[int], is_relay: bool) -> None:
        """Its pieces."""
        self.check(lambda said: reordered(said, order, sorted(cuts)[:4]), is_relay=is_relay)

    @given(st.integers(0, CONFIRM_SIZE - 1), RELAYED)
    def test_repeated_behind(self, start: int, is_relay: bool) -> None:
        """Behind it are records: the peer is there, and one that is none breaks the stream."""
        self.begin()
        path, _, said = self.path(is_relay=is_relay)
        path.say(said + said[start:])
        self.assertIs(path.shaken, path.candidate)
        application = HalfCloseRecorder()
        path.candidate.release(application)
        self.clock.advance(5.1)
        self.assertEqual((application.received, application.read_ended), (b"", 0))
        if CONFIRM_SIZE - start >= 5:
            self.assertTrue(present(application.lost).check(PeerNotProven))


def reordered(data: bytes, order: list[int], cuts: list[int]) -> bytes:
    """Its pieces in another order."""
    places = [0, *cuts, len(data)]
    return b"".join(data[places[i] : places[i + 1]] for i in order)
