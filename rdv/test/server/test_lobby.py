"""Who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.deadlines import Deadlines
from rdv.server.lobby import Lobby
from rdv.wire import Role


@dataclass(frozen=True, eq=False)
class Somebody:
    """Who waits in a lobby."""

    role: Role
    token: bytes = b"token"


class LobbyTests(SynchronousTestCase):
    """Three hundred seconds of patience."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.expired: list[Somebody] = []
        self.replaced: list[Somebody] = []
        self.lobby = self.make_lobby(300)
        self.dialer, self.acceptor = Somebody(Role.DIALER), Somebody(Role.ACCEPTOR)

    def make_lobby(self, timeout: float) -> Lobby[Somebody]:
        return Lobby(self.clock, timeout, self.expired.append, self.replaced.append)

    def assert_idle(self) -> None:
        """Nobody waits, and no timer runs."""
        self.assertEqual((len(self.lobby), list(self.lobby)), (0, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_both_orders_of_arrival(self) -> None:
        for first, second in ((self.dialer, self.acceptor), (self.acceptor, self.dialer)):
            self.assertIsNone(self.lobby.partner(first))
            self.lobby.enter(first)
            self.assertEqual(list(self.lobby), [first])
            self.assertIs(self.lobby.partner(second), first)
            self.assertTrue(self.lobby.leave(first))
            self.assertIsNone(self.lobby.partner(second))
            self.assert_idle()

    def test_asking_changes_nothing(self) -> None:
        self.lobby.enter(self.dialer)
        self.assertIs(self.lobby.partner(self.acceptor), self.dialer)
        self.assertIs(self.lobby.partner(self.acceptor), self.dialer)
        self.assertEqual(list(self.lobby), [self.dialer])

    def test_same_role_is_no_partner(self) -> None:
        self.lobby.enter(self.dialer)
        self.assertIsNone(self.lobby.partner(Somebody(Role.DIALER)))
        self.assertIsNone(self.lobby.partner(self.dialer))

    def test_other_token_is_no_partner(self) -> None:
        self.lobby.enter(self.dialer)
        for token in (b"Token", b"token2", b"toke", b""):
            self.assertIsNone(self.lobby.partner(Somebody(Role.ACCEPTOR, token)))

    def test_rival(self) -> None:
        """Who waits with the same token and role. Asking changes nothing."""
        self.assertIsNone(self.lobby.rival(self.dialer))
        self.lobby.enter(self.dialer)
        self.assertIs(self.lobby.rival(Somebody(Role.DIALER)), self.dialer)
        self.assertIsNone(self.lobby.rival(self.acceptor))
        self.assertIsNone(self.lobby.rival(Somebody(Role.DIALER, b"other")))
        self.assertEqual((list(self.lobby), self.replaced), ([self.dialer], []))

    def test_replacement(self) -> None:
        """The older one goes, the newer one waits, with all its time before it."""
        newer = Somebody(Role.DIALER)
        self.lobby.enter(self.dialer)
        self.clock.advance(200)
        self.lobby.enter(newer)
        self.assertEqual((self.replaced, list(self.lobby)), ([self.dialer], [newer]))
        self.assertIs(self.lobby.partner(self.acceptor), newer)
        self.clock.advance(299.5)
        self.assertEqual(self.expired, [])
        self.clock.advance(0.5)
        self.assertEqual((self.expired, self.replaced), ([newer], [self.dialer]))
        self.assert_idle()

    def test_replacement_is_told_when_done(self) -> None:
        """Whoever is told finds the lobby as it will be: the newer one waits, and stays."""
        seen: list[list[Somebody]] = []

        def replaced(older: Somebody) -> None:
            seen.append(list(lobby))
            self.assertFalse(lobby.leave(older))

        lobby = Lobby[Somebody](self.clock, 300, self.expired.append, replaced)
        newer = Somebody(Role.DIALER)
        lobby.enter(self.dialer)
        lobby.enter(newer)
        self.assertEqual((seen, list(lobby)), ([[newer]], [newer]))

    def test_leaving(self) -> None:
        self.lobby.enter(self.dialer)
        self.assertTrue(self.lobby.leave(self.dialer))
        self.assertFalse(self.lobby.leave(self.dialer))
        self.assert_idle()
        self.clock.advance(1000)
        self.assertEqual((self.expired, self.replaced), ([], []))

    def test_leaving_of_one_who_was_replaced(self) -> None:
        """It does not take its successor along."""
        newer = Somebody(Role.DIALER)
        self.lobby.enter(self.dialer)
        self.lobby.enter(newer)
        self.assertFalse(self.lobby.leave(self.dialer))
        self.assertEqual(list(self.lobby), [newer])

    def test_leaving_of_one_who_was_never_in(self) -> None:
        self.lobby.enter(self.acceptor)
        self.assertFalse(self.lobby.leave(self.dialer))
        self.assertFalse(self.lobby.leave(Somebody(Role.ACCEPTOR, b"other")))
        self.assertEqual(list(self.lobby), [self.acceptor])

    def test_expiry_in_order(self) -> None:
        members = [Somebody(Role.DIALER, b"%d" % number) for number in range(4)]
        for member in members:
            self.lobby.enter(member)
            self.clock.advance(1)
        self.lobby.leave(members[1])
        self.clock.advance(295)
        self.assertEqual(self.expired, [])
        self.clock.advance(1)
        self.assertEqual(self.expired, [members[0]])
        self.clock.advance(2)
        self.assertEqual(self.expired, [members[0], members[2]])
        self.clock.advance(1)
        self.assertEqual(self.expired, [members[0], members[2], members[3]])
        self.assert_idle()

    def test_expired_has_left_when_told(self) -> None:
        waiting: list[int] = []
        lobby = Lobby[Somebody](
            self.clock, 300, lambda member: waiting.append(len(lobby)), self.replaced.append
        )
        lobby.enter(self.dialer)
        self.clock.advance(300)
        self.assertEqual(waiting, [0])
        self.assertFalse(lobby.leave(self.dialer))

    def test_burst_leaves_room_for_matching(self) -> None:
        """Between two batches of expiries, somebody who waits can still be met."""
        count = 2 * Deadlines.batch + 1
        for number in range(count):
            self.lobby.enter(Somebody(Role.DIALER, b"%d" % number))
        last = self.lobby.partner(Somebody(Role.ACCEPTOR, b"%d" % (count - 1)))
        assert last is not None
        self.clock.callLater(300, self.lobby.leave, last)
        self.clock.advance(300)
        self.assertEqual(len(self.expired), count - 1)
        self.assertNotIn(last, self.expired)
        self.assert_idle()

    def test_no_timeout(self) -> None:
        lobby = self.make_lobby(0)
        lobby.enter(self.dialer)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10_000_000)
        self.assertEqual((list(lobby), self.expired), ([self.dialer], []))

    def test_iteration_survives_leaving(self) -> None:
        members = [Somebody(Role.DIALER, b"%d" % number) for number in range(3)]
        for member in members:
            self.lobby.enter(member)
        for member in self.lobby:
            self.lobby.leave(member)
        self.assert_idle()
