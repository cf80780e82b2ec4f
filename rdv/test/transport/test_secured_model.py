"""
Two secured transports, and applications that do anything at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer_only

from rdv._transport.secured import SecureTransport
from rdv.test.doubles import HalfCloseRecorder, connect
from rdv.test.secure.doubles import paths

#: What an application does: a method of :class:`Application`.
ACTIONS = (
    "write_little",
    "write_much",
    "end",
    "close",
    "pause",
    "resume",
    "produce",
    "produce_no_more",
)
#: Where it does something by itself.
PLACES = (
    "connectionMade",
    "dataReceived",
    "readConnectionLost",
    "writeConnectionLost",
    "connectionLost",
    "pauseProducing",
    "resumeProducing",
)
#: What happens next: an action of one side, "turn" for one event, or "cut".
Step: TypeAlias = tuple[int, str]
Habits: TypeAlias = dict[str, list[str]]


class Application(HalfCloseRecorder):
    """
    Writes numbers, and is a producer now and then.

    :param habits: actions for each place, the first for the first time there.
    """

    transport: ITCPTransport

    def __init__(self, habits: Habits) -> None:
        super().__init__()
        self.habits = {place: list(actions) for place, actions in habits.items()}
        self.written = 0
        self.closed = self.broken = self.producing = False
        self._ended = False
        self._depth = 0

    def act(self, action: str) -> None:
        """Do something."""
        getattr(self, action)()

    def _at(self, place: str) -> None:
        actions = self.habits.get(place)
        if actions and self._depth < 3:
            self._depth += 1
            self.act(actions.pop(0))
            self._depth -= 1

    def _write(self, size: int) -> None:
        # What counts as written is what may still be; a producer may write on for a while.
        if not self._over:
            begin, self.written = self.written, self.written + size
            self.transport.write(numbers(begin, self.written))

    @property
    def _over(self) -> bool:
        # One that does not care for half-close is closed by the end of the other side.
        closing = cast(SecureTransport, self.transport).disconnecting
        ended = (self._ended or closing) and not self.producing
        return ended or self.broken or self.lost is not None

    def write_little(self) -> None:
        self._write(3)

    def write_much(self) -> None:
        self._write(300_000)

    def end(self) -> None:
        self._ended = True
        self.transport.loseWriteConnection()

    def close(self) -> None:
        self.closed = True
        self.transport.loseConnection()

    def abort(self) -> None:
        # Behind the last DONE there is nothing to break.
        over = self.lost is not None or cast(SecureTransport, self.transport).stream.over
        self.broken = self.broken or not over
        self.transport.abortConnection()

    def pause(self) -> None:
        cast(Any, self.transport).pauseProducing()

    def resume(self) -> None:
        cast(Any, self.transport).resumeProducing()

    def produce(self) -> None:
        if not (self.producing or self._over or self._ended):
            self.producing = True
            cast(Any, self.transport).registerProducer(self, True)

    def produce_no_more(self) -> None:
        if self.producing:
            self.producing = False
            cast(Any, self.transport).unregisterProducer()

    # What it is told.

    def connectionMade(self) -> None:
        self._at("connectionMade")

    def dataReceived(self, data: bytes) -> None:
        assert data and self.lost is None and not self.read_ended
        assert not self.closed and not self.broken
        super().dataReceived(data)
        self._at("dataReceived")

    def readConnectionLost(self) -> None:
        assert self.lost is None and not self.closed and not self.broken
        super().readConnectionLost()
        self._at("readConnectionLost")

    def writeConnectionLost(self) -> None:
        assert self.lost is None
        super().writeConnectionLost()
        self._at("writeConnectionLost")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._at("connectionLost")

    # As a producer.

    def pauseProducing(self) -> None:
        self._at("pauseProducing")

    def resumeProducing(self) -> None:
        self._at("resumeProducing")

    def stopProducing(self) -> None:
        self.producing = False


@implementer_only(IProtocol)
class Uncaring(Application):
    """One that does not know the two directions apart."""


def numbers(begin: int, end: int) -> bytes:
    """A piece of a stream in which no two places are alike within 64 KiB."""
    whole = b"".join(i.to_bytes(3, "big") for i in range(begin // 3, -(-end // 3)))
    return whole[begin % 3 :][: end - begin]


class ModelTests(SynchronousTestCase):
    """What holds whatever happens."""

    def connect(
        self, habits: tuple[Habits, Habits], sizes: tuple[int, int], caring: tuple[bool, bool]
    ) -> None:
        """
        :param sizes: bytes of one read.
        :param caring: whether each knows the two directions apart.
        """
        self.clock = Clock()
        self.sides = [
            (Application if cares else Uncaring)(each)
            for each, cares in zip(habits, caring, strict=True)
        ]
        self.secured = [
            SecureTransport(self.clock, path, side)
            for path, side in zip(paths(), self.sides, strict=True)
        ]
        self.below = connect(self.clock, self.secured[0].first, self.secured[1].first)
        for transport, size in zip(self.below, sizes, strict=True):
            transport.bufferSize = size

    def turn(self) -> None:
        """One event."""
        if self.clock.calls:
            call = self.clock.calls[0]
            if call.getTime() <= self.clock.seconds():
                self.clock.calls.pop(0)
                call.called = 1
                call.func(*call.args, **call.kw)

    def check(self) -> None:
        """Nothing was doubled, reordered or made up."""
        for side, other in zip(self.sides, self.sides[::-1], strict=True):
            received = side.received
            self.assertLessEqual(len(received), other.written)
            self.assertTrue(received == numbers(0, len(received)))
            self.assertLessEqual(side.read_ended, 1)
            if side.read_ended:
                self.assertEqual(len(received), other.written)
            # A receipt: all has been delivered, or the other side did not want it.
            if side.lost_cleanly:
                self.assertFalse(side.broken)
                self.assertTrue(len(other.received) == side.written or other.closed)
                self.assertTrue(len(received) == other.written or side.closed)

    def run_to_the_end(self) -> None:
        """Both want to come to an end; and it comes."""
        for side in self.sides:
            side.habits.clear()
            side.act("produce_no_more")
            side.act("resume")
            side.act("end")
        self.clock.advance(0)
        self.check()
        for side in self.sides:
            side.act("close")
        self.clock.advance(0)
        self.clock.advance(5)
        self.clock.advance(0)
        self.check()
        self.assertTrue(all(side.lost is not None for side in self.sides))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for side, transport in zip(self.sides, self.below, strict=True):
            self.assertIsNone(transport.producer)
            self.assertFalse(side.producing)

    _HABITS = st.dictionaries(
        st.sampled_from(PLACES), st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3)
    )
    _SIZES = st.sampled_from([1 << 16, 1 << 16, 5000, 37])
    _STEPS = st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from((*ACTIONS, "turn", "turn", "turn", "settle"))),
        max_size=12,
    )

    def play(self, steps: list[Step]) -> None:
        happens: dict[str, Callable[[], object]] = {
            "turn": self.turn,
            "settle": lambda: self.clock.advance(0),
        }
        for number, what in steps:
            if what == "cut":
                self.below[number].lose(ConnectionLost())
            elif what in happens:
                happens[what]()
            else:
                self.sides[number].act(what)
            self.check()

    @given(
        st.tuples(_HABITS, _HABITS),
        st.tuples(_SIZES, _SIZES),
        st.tuples(st.booleans(), st.booleans()),
        _STEPS,
    )
    @example(({}, {"connectionMade": ["write_little"]}), (9, 9), (True, True), [])
    def test_in_good_order(
        self,
        habits: tuple[Habits, Habits],
        sizes: tuple[int, int],
        caring: tuple[bool, bool],
        steps: list[Step],
    ) -> None:
        """Nobody aborts and nothing is cut: it ends well for both."""
        self.connect(habits, sizes, caring)
        self.play(steps)
        self.run_to_the_end()
        self.assertTrue(all(side.lost_cleanly for side in self.sides))

    @given(
        st.tuples(_HABITS, _HABITS),
        st.tuples(_SIZES, _SIZES),
        st.tuples(st.booleans(), st.booleans()),
        _STEPS,
        st.tuples(st.integers(0, 1), st.sampled_from(("cut", "abort"))),
        st.sampled_from(PLACES),
        _STEPS,
    )
    def test_broken(
        self,
        habits: tuple[Habits, Habits],
        sizes: tuple[int, int],
        caring: tuple[bool, bool],
        before: list[Step],
        fault: Step,
        place: str,
        after: list[Step],
    ) -> None:
        """One aborts, in the middle of something too, or the connection is cut."""
        number, what = fault
        if what == "abort":
            habits[number][place] = [*habits[number].get(place, [])[:1], "abort"]
        self.connect(habits, sizes, caring)
        self.play([*before, fault, *after])
        self.run_to_the_end()
