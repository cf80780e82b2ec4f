"""
Whatever the application writes before the choice is final, all of it arrives, and once.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from rdv.test.client.stream.probation_case import CONFIRM, HELLO, LONG, Step, WritingTestCase
from rdv.wire import Role

STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from((0, 1, 1000, 40_000, 100_000))),
        st.tuples(st.sampled_from(("push", "pull")), st.integers(0, 12)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=8,
)


#: How the choice becomes final. With "late_relay" HELLO comes on the relay some time later.
MOMENTS: dict[str, Callable[[WritingTestCase], object]] = {
    "acknowledge": lambda test: test.acknowledge(),
    "lose": lambda test: test.direct.lose(),
    "late_relay": lambda test: test.direct.lose(),
    "lose_relay": lambda test: test.relay.lose(),
    "end_relay": lambda test: test.relay.end(),
    "confirm": lambda test: test.relay.deliver(CONFIRM),
    "hear": lambda test: test.direct.deliver(b"data"),
    "wait": lambda test: test.clock.advance(LONG),
}
ENDINGS = st.sampled_from(("", "loseWriteConnection", "loseConnection"))


class AnyDialerTests(WritingTestCase):
    """Whatever the application does, and whenever and however the choice becomes final."""

    @given(
        STEPS,
        STEPS,
        st.sampled_from(("acknowledge", "lose", "late_relay", "lose_relay", "hear", "wait")),
        ENDINGS,
    )
    def test_arrives(self, before: list[Step], after: list[Step], moment: str, ending: str) -> None:
        self.assert_arrives(before, after, moment, ending)

    def assert_arrives(
        self, before: list[Step], after: list[Step], moment: str, ending: str
    ) -> None:
        """
        :param before: what the application does before the ``moment``; its producers and its
            ending may not be done by then.
        :param after: what it does then.
        :param ending: the method with which it ends; "" for none.
        """
        self.begin(relay_ready=moment != "late_relay")
        application = self.application
        application.run(before)
        if not after:
            application.end(ending)
        MOMENTS[moment](self)
        if after:
            application.run(after)
            application.end(ending)
        self.clock.advance(0.001)
        if moment == "late_relay":
            self.relay.deliver(HELLO)
        self.clock.advance(LONG)
        path = self.relay if self.connection.is_relay else self.direct
        self.assertTrue(path.received == application.written)
        self.assertEqual(path.ended, ending != "")
        self.assertIsNone(path.far.lost)
        self.assertEqual(path.near.connected, ending != "loseConnection")
        self.assertFalse(any(source.stopped for source in application.sources))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AnyAcceptorTests(AnyDialerTests):
    """The acceptor's side."""

    role = Role.ACCEPTOR

    @given(
        STEPS,
        STEPS,
        st.sampled_from(("confirm", "end_relay", "lose_relay", "hear", "wait")),
        ENDINGS,
    )
    def test_arrives(self, before: list[Step], after: list[Step], moment: str, ending: str) -> None:
        self.assert_arrives(before, after, moment, ending)
