"""
Two secured transports in memory, and what holds whatever happens to them.
"""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._transport.secured import SecureTransport
from rdv.test.doubles import MemoryTransport, connect
from rdv.test.secure.doubles import paths
from rdv.test.transport.applications import (
    ACTIONS,
    PLACES,
    Application,
    Habits,
    Step,
    Uncaring,
    numbers,
)

__all__ = ["CARING", "HABITS", "SIZES", "ModelTestCase"]

#: The actions of two applications; the bytes of one read of each; whether each supports half-close.
HABITS = st.tuples(
    *[
        st.dictionaries(
            st.sampled_from(PLACES), st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3)
        )
    ]
    * 2
)
SIZES = st.tuples(*[st.sampled_from([1 << 16, 1 << 16, 5000, 37])] * 2)
CARING = st.tuples(st.booleans(), st.booleans())


class ModelTestCase(SynchronousTestCase):
    """An acceptor and a dialer, and their applications."""

    moves = False

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
            for path, side in zip(paths(moves=self.moves), self.sides, strict=True)
        ]
        self.below = connect(self.clock, self.secured[0].first, self.secured[1].first)
        self.sizes = sizes
        self.transports: list[MemoryTransport] = []
        self.begun(self.below)

    def begun(self, pair: tuple[MemoryTransport, MemoryTransport]) -> None:
        """There is another connection."""
        self.transports += pair
        for transport, size in zip(pair, self.sizes, strict=True):
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
        self.assertFalse(any(side.producing for side in self.sides))
        for transport in self.transports:
            self.assertIsNone(transport.producer)
            self.assertFalse(transport.connected)

    def play(self, steps: list[Step]) -> None:
        for number, what in steps:
            if what in (*ACTIONS, "abort"):
                self.sides[number].act(what)
            else:
                self.happen(number, what)
            self.check()

    def happen(self, number: int, what: str) -> None:
        """Something that is no action of an application."""
        if what == "cut":
            self.below[number].lose(ConnectionLost())
        elif what == "turn":
            self.turn()
        else:
            self.clock.advance(0)
