"""
Which clients wait, and which meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

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

from rdv._deadlines import Expiry
from rdv.server.meeting.lobby import Lobby
from rdv.wire import Role

TIMEOUT = 10


@dataclass(eq=False)
class Somebody:
    """A client that waits in a lobby."""

    role: Role
    token: bytes = b"token"
    network: bytes = b""
    since: float = 0.0


class LobbyTests(SynchronousTestCase):
    """Three hundred seconds of patience."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[Somebody, list[Somebody]]] = []
        self.lobby: Lobby[Somebody] = Lobby(self.clock, 300, self.tell, self.tell, self.tell)
        self.dialer, self.acceptor = Somebody(Role.DIALER), Somebody(Role.ACCEPTOR)

    def tell(self, member: Somebody) -> None:
        """Somebody who is told has left, and finds the lobby as it will be."""
        self.assertFalse(self.lobby.leave(member))
        self.told.append((member, list(self.lobby)))

    def test_partner_and_rival(self) -> None:
        """The same token, and the other role or the same. Asking changes nothing."""
        newer = Somebody(Role.DIALER)
        self.assertIsNone(self.lobby.partner(self.acceptor))
        self.assertIsNone(self.lobby.rival(newer))
        self.lobby.enter(self.dialer)
        for somebody, partner, rival in (
            (self.acceptor, self.dialer, None),
            (newer, None, self.dialer),
            (Somebody(Role.ACCEPTOR, b"token2"), None, None),
            (Somebody(Role.DIALER, b"Token"), None, None),
        ):
            self.assertIs(self.lobby.partner(somebody), partner)
            self.assertIs(self.lobby.rival(somebody), rival)
        self.assertEqual((list(self.lobby), self.told), ([self.dialer], []))

    def test_replaced_and_expired(self) -> None:
        """The older one goes, the newer one waits, with all its time before it."""
        newer = Somebody(Role.DIALER)
        self.lobby.enter(self.dialer)
        self.clock.advance(200)
        self.lobby.enter(newer)
        self.assertIs(self.lobby.partner(self.acceptor), newer)
        self.clock.advance(299.5)
        self.assertEqual(self.told, [(self.dialer, [newer])])
        self.clock.advance(0.5)
        self.assertEqual(self.told[1:], [(newer, [])])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_telling_changes_the_others(self) -> None:
        """Who has left meanwhile, was replaced, or is in anew, is not told of an end."""
        told: list[tuple[float, str, bytes]] = []

        def tell(what: str, member: Somebody) -> None:
            told.append((self.clock.seconds(), what, member.token))
            if member is first:
                lobby.leave(left)
                lobby.enter(Somebody(Role.DIALER, b"replaced"))
                lobby.leave(back)
                lobby.enter(back)

        lobby: Lobby[Somebody] = Lobby(
            self.clock, 300, partial(tell, "expired"), partial(tell, "replaced"), self.fail
        )
        names = (b"first", b"left", b"replaced", b"back", b"last")
        members = [Somebody(Role.DIALER, name) for name in names]
        first, left, _, back, _ = members
        for member in members:
            lobby.enter(member)
        self.clock.advance(300)
        self.assertEqual(
            told,
            [
                (300, "expired", b"first"),
                (300, "replaced", b"replaced"),
                (300, "expired", b"last"),
            ],
        )
        self.clock.advance(300)
        self.assertEqual(told[3:], [(600, "expired", b"replaced"), (600, "expired", b"back")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_at_once(self) -> None:
        """In batches, whatever they are."""
        self.patch(Expiry, "batch", 2)
        members = [Somebody(Role.DIALER, b"%d" % number) for number in range(5)]
        for member in members:
            self.lobby.enter(member)
        self.clock.advance(300)
        self.assertEqual([each for each, _ in self.told], members)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def somebody(self, network: bytes, token: bytes) -> Somebody:
        """One from there, who waits if three others may."""
        somebody = Somebody(Role.DIALER, token, network)
        self.lobby.enter(somebody, 3)
        return somebody

    def test_full(self) -> None:
        """One of those of whom most wait gives way; nobody to one of these, nor to a newer one."""
        hog = [self.somebody(b"hog!", b"%d" % n) for n in range(3)]
        self.assertEqual(self.told, [])
        guest = self.somebody(b"home", b"3")
        self.assertEqual(self.told, [(hog[2], [*hog[:2], guest])])
        self.assertIsNone(self.lobby.yielding(b"hog!"))
        again = self.somebody(b"home", b"3")
        self.assertEqual(self.told[1:], [(guest, [*hog[:2], again])])
        self.assertIsNone(self.lobby.yielding(b"home"))

    def test_has_crowd(self) -> None:
        """Whether there is room for others, though not for everybody."""
        self.assertFalse(self.lobby.has_crowd())
        self.somebody(b"hog!", b"1")
        self.assertFalse(self.lobby.has_crowd())
        self.somebody(b"hog!", b"2")
        self.assertTrue(self.lobby.has_crowd())

    def test_full_again(self) -> None:
        """Who has come or left meanwhile, in whatever way, is counted rightly."""
        for turn in range(3):
            hog = [self.somebody(b"hog!", b"%d" % n) for n in range(3)]
            self.assertTrue(self.lobby.leave(hog[1]))
            more = [self.somebody(b"home", b"%d, %d" % (turn, n)) for n in range(2)]
            self.assertEqual([each for each, _ in self.told], [])
            guest = self.somebody(b"away", b"guest")
            self.assertEqual(self.told.pop()[0], more[1])
            self.clock.advance(300)
            self.assertEqual([each for each, _ in self.told], [hog[0], hog[2], more[0], guest])
            self.told.clear()

    def test_iteration_survives_leaving(self) -> None:
        for number in range(3):
            self.lobby.enter(Somebody(Role.DIALER, b"%d" % number))
        for member in self.lobby:
            self.lobby.leave(member)
        self.assertEqual((len(self.lobby), self.clock.getDelayedCalls()), (0, []))


class LobbyMachine(RuleBasedStateMachine):
    """
    A model that is too simple to be wrong. Clients come, meet, leave and time out.

    :ivar waiting: the clients that should be in, and since when, oldest first.
    :ivar gone: a client that is not in.
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
            lambda member: self.told.append(("gave way", member)),
        )
        self.waiting: dict[Somebody, float] = {}
        self.gone = Somebody(Role.DIALER, b"a")

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
            self.gone = older
        self.waiting[member] = self.clock.seconds()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(list(self.waiting)))
        assert self.lobby.leave(member)
        assert not self.lobby.leave(member)
        del self.waiting[member]
        self.gone = member
        self.assert_told()

    @rule()
    def somebody_leaves_who_is_not_in(self) -> None:
        assert not self.lobby.leave(self.gone)

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
