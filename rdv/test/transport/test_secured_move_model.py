"""
The same while the stream moves from path to path.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost

from rdv._transport.secured import Joining
from rdv.test.doubles import Recorder, connect
from rdv.test.secure.doubles import joining
from rdv.test.transport.applications import ACTIONS, PLACES, Habits, Step
from rdv.test.transport.model_case import CARING, HABITS, SIZES, ModelTestCase
from rdv.test.transport.secured_case import DIRECT

#: What may happen beside the actions of applications: the latest event is handled before the
#: others; a path is made; the dialer gives it up, by itself or because it is lost.
HAPPENS = "turn", "turn", "turn", "late turn", "late turn", "settle"
JOINS = "join", "join", "give up", "lose unused"


class MovingModelTests(ModelTestCase):
    """
    What holds whatever happens.

    :ivar joined: the ends of the path that was made last.
    """

    moves = True

    def setUp(self) -> None:
        self.joined: tuple[Joining, Any] | None = None

    def happen(self, number: int, what: str) -> None:
        """See the base."""
        if what == "join":
            self.join()
        elif what == "late turn":
            self.clock.calls.insert(0, self.clock.calls.pop()) if self.clock.calls else None
            self.turn()
        elif what == "give up":
            self.give_up(lose=False)
        elif what == "lose unused":
            self.give_up(lose=True)
        elif what == "cut joined":
            if self.joined is not None:
                self.transports[-1 - number].lose(ConnectionLost())
        else:
            super().happen(number, what)

    def join(self) -> None:
        """The dialer makes another path, if it may."""
        acceptor, dialer = self.secured
        if not (dialer.can_move and dialer.path.ready) or dialer.stream.joins:
            return
        there, here = joining(acceptor.path, dialer.path)
        end = dialer.join(here)
        end.proven.addErrback(lambda _: None)
        other: Any = Recorder()
        if acceptor.can_move:
            other = acceptor.join(there)
            other.proven.addErrback(lambda _: None)
        self.begun(connect(self.clock, other, end, address=DIRECT))
        if isinstance(other, Recorder):
            self.transports[-2].abortConnection()
        self.joined = end, other

    def give_up(self, *, lose: bool) -> None:
        """The dialer leaves a path on which it has not said HERE."""
        dialer = self.secured[1]
        if self.joined is not None and dialer.stream.joins:
            if lose:
                self.transports[-1].lose(ConnectionLost())
            else:
                self.joined[0].proven.cancel()

    def stay_or_move(self) -> None:
        """A stream that is left alone uses one path."""
        for side in self.sides:
            side.habits.clear()
            side.act("produce_no_more")
            side.act("resume")
        self.clock.advance(0)
        standing = [transport for transport in self.transports if transport.connected]
        goes_on = [
            side.lost is None and not secured.disconnecting and not secured.stream.delivered
            for side, secured in zip(self.sides, self.secured, strict=True)
        ]
        if all(goes_on):
            self.assertEqual(len(standing), 2)

    _STEPS = st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from((*ACTIONS, *HAPPENS, *JOINS))), max_size=20
    )

    @given(HABITS, SIZES, CARING, _STEPS)
    def test_in_good_order(
        self,
        habits: tuple[Habits, Habits],
        sizes: tuple[int, int],
        caring: tuple[bool, bool],
        steps: list[Step],
    ) -> None:
        """Nobody aborts and nothing is cut that is in use: it ends well for both."""
        self.setUp()
        self.connect(habits, sizes, caring)
        self.play(steps)
        self.stay_or_move()
        self.run_to_the_end()
        self.assertTrue(all(side.lost_cleanly for side in self.sides))

    @given(
        HABITS,
        SIZES,
        CARING,
        _STEPS,
        st.lists(
            st.tuples(st.integers(0, 1), st.sampled_from(("cut", "cut joined", "abort"))),
            min_size=1,
            max_size=2,
        ),
        st.sampled_from(PLACES),
        _STEPS,
    )
    def test_broken(
        self,
        habits: tuple[Habits, Habits],
        sizes: tuple[int, int],
        caring: tuple[bool, bool],
        before: list[Step],
        faults: list[Step],
        place: str,
        after: list[Step],
    ) -> None:
        """One aborts, in the middle of something too, or a path is cut, or both are."""
        self.setUp()
        for number, what in faults:
            if what == "abort":
                habits[number][place] = [*habits[number].get(place, [])[:1], "abort"]
        self.connect(habits, sizes, caring)
        self.play([*before, faults[0], *after, *faults[1:]])
        self.run_to_the_end()
