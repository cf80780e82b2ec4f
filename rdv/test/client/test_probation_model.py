"""
Whatever the application writes before the choice is final, all of it arrives, and once.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rdv.test.client.probation_case import CONFIRM, HELLO, LONG, Step, WritingTestCase
from rdv.wire import Role

STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from((0, 1, 1000, 40_000, 100_000))),
        st.tuples(st.sampled_from(("push", "pull")), st.integers(0, 12)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=8,
)


class AnyTestCase(WritingTestCase):
    """Whatever the application does, and whenever and however the choice becomes final."""

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
        getattr(self, moment)()
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

    def lose(self) -> None:
        """The direct path breaks."""
        self.direct.lose()

    def late_relay(self) -> None:
        """The direct path breaks, and HELLO comes on the relay some time later."""
        self.direct.lose()

    def lose_relay(self) -> None:
        """Nothing but the direct path is left."""
        self.relay.lose()

    def hear(self) -> None:
        """The peer says something on the direct path."""
        self.direct.deliver(b"data")

    def wait(self) -> None:
        """Nobody says anything for long."""
        self.clock.advance(LONG)

    def end_relay(self) -> None:
        """The peer has done with the relay."""
        self.relay.end()

    def confirm(self) -> None:
        """The peer has chosen the relay."""
        self.relay.deliver(CONFIRM)


ENDINGS = st.sampled_from(("", "loseWriteConnection", "loseConnection"))


class AnyDialerTests(AnyTestCase):
    """The dialer's side."""

    @given(
        STEPS,
        STEPS,
        st.sampled_from(("acknowledge", "lose", "late_relay", "lose_relay", "hear", "wait")),
        ENDINGS,
    )
    def test_arrives(self, before: list[Step], after: list[Step], moment: str, ending: str) -> None:
        self.assert_arrives(before, after, moment, ending)


class AnyAcceptorTests(AnyTestCase):
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
