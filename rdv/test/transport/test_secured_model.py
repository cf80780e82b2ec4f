"""
Two secured transports, and applications that do anything at any moment.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rdv.test.transport.applications import ACTIONS, PLACES, Habits, Step
from rdv.test.transport.model_case import CARING, HABITS, SIZES, ModelTestCase


class ModelTests(ModelTestCase):
    """What holds whatever happens."""

    _STEPS = st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from((*ACTIONS, "turn", "turn", "turn", "settle"))),
        max_size=12,
    )

    @given(
        HABITS,
        SIZES,
        CARING,
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
        HABITS,
        SIZES,
        CARING,
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
