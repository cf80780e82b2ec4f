"""The lobby against a model of it that is too simple to be wrong."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.lobby import Lobby
from rdv.test.server.test_lobby import Somebody
from rdv.wire import Role

TIMEOUT = 10


class LobbyMachine(RuleBasedStateMachine):
    """
    People come, meet, leave and are forgotten.

    :ivar waiting: who should be in, and since when, oldest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.told: list[tuple[str, Somebody]] = []
        self.lobby: Lobby[Somebody] = Lobby(
            self.clock,
            TIMEOUT,
            lambda member: self.told.append(("expired", member)),
            lambda member: self.told.append(("replaced", member)),
        )
        self.waiting: dict[Somebody, float] = {}

    def with_token(self, token: bytes) -> Somebody | None:
        return next((member for member in self.waiting if member.token == token), None)

    def assert_told(self, *wanted: tuple[str, Somebody]) -> None:
        assert self.told == list(wanted), self.told
        self.told.clear()

    @rule(role=st.sampled_from(Role), token=st.sampled_from([b"a", b"b", b"c"]))
    def somebody_comes(self, role: Role, token: bytes) -> None:
        member = Somebody(role, token)
        older = self.with_token(token)
        partner = self.lobby.partner(member)
        if older is not None and older.role is not role:
            assert partner is older
            assert self.lobby.leave(older)
            del self.waiting[older]
            self.assert_told()
            return
        assert partner is None
        self.lobby.enter(member)
        if older is not None:
            del self.waiting[older]
            self.assert_told(("replaced", older))
        self.waiting[member] = self.clock.seconds()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(list(self.waiting)))
        assert self.lobby.leave(member)
        assert not self.lobby.leave(member)
        del self.waiting[member]
        self.assert_told()

    @rule(seconds=st.integers(0, 2 * TIMEOUT))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        due = [m for m, since in self.waiting.items() if since + TIMEOUT <= self.clock.seconds()]
        for member in due:
            del self.waiting[member]
        self.assert_told(*(("expired", member) for member in due))

    @invariant()
    def same_people(self) -> None:
        assert set(self.lobby) == set(self.waiting)
        assert len(self.lobby) == len(self.waiting)

    @invariant()
    def one_timer_at_most(self) -> None:
        """One while somebody waits, for the oldest; none when nobody does."""
        calls = self.clock.getDelayedCalls()
        assert len(calls) == bool(self.waiting), calls
        if calls:
            assert calls[0].getTime() <= min(self.waiting.values()) + TIMEOUT


class LobbyModelTests(SynchronousTestCase):
    """Runs the machine."""

    def test_like_the_model(self) -> None:
        run_state_machine_as_test(
            LobbyMachine, settings=settings(max_examples=60, stateful_step_count=30)
        )
