"""Clients of one address, from their arrival to their end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from rdv.addresses import host_of
from rdv.server.limits.admission import refusal_of
from rdv.server.limits.numbers import Limit, Limits
from rdv.test.server.doubles import Guest, ServerTestCase
from rdv.wire import Role

#: Two addresses.
HOG, GUEST = "192.0.2.1:5", "192.0.2.2:5"


class ClientsTests(ServerTestCase):
    """
    Two clients of one address may wait, and two may be in pairs. All others come from other
    addresses.
    """

    def open(self, **options: Any) -> None:
        super().open(limits=Limits(0, waiting=2, pairs=2, requests=0, failures=20), **options)

    def tearDown(self) -> None:
        """When all have left nobody is counted any more."""
        self.counted()
        for leg in self.legs:
            leg.here.abortConnection()
        self.settle()
        self.assertEqual(self.counted(), ((0, 0, 0), (0, 0, 0)))

    def setUp(self) -> None:
        self.legs: list[Guest] = []
        super().setUp()

    def come(self, role: Role, *said: Any, **more: Any) -> Guest:
        self.rendezvous.enter, enter = self._count, self.rendezvous.enter  # type: ignore[method-assign]
        self._enter = enter
        try:
            guest = super().come(role, *said, **more)
        finally:
            self.rendezvous.enter = enter  # type: ignore[method-assign]
        self.legs.append(guest)
        return guest

    def _count(self, leg: Any, early: bytes = b"", waited: float = 0.0) -> None:
        leg.lease = self.rendezvous.admission.lease(host_of(leg.observed))
        self._enter(leg, early, waited)

    def counted(self) -> tuple[tuple[int, ...], ...]:
        """How many are connected, wait and are in pairs, of each of the two addresses."""
        admission = self.rendezvous.admission
        places = [admission.lease(host_of(each), counted=False).place for each in (HOG, GUEST)]
        return tuple(tuple(admission.counts.count(place, n) for n in range(3)) for place in places)

    def assert_refused_for(self, guest: Guest, limit: Limit) -> None:
        """That limit has hit it."""
        self.assert_refused(guest, *refusal_of(limit))

    def test_waiting(self) -> None:
        """A third one is refused, and others are not; when one has gone another may come."""
        first = self.dial(b"1", observed=HOG)
        self.dial(b"2", observed=HOG)
        third = self.dial(b"3", observed=HOG)
        self.assert_refused_for(third, Limit.WAITING)
        self.assertEqual(self.counted()[0], (3, 2, 0))
        self.close_all(third)
        self.dial(b"4", observed=GUEST)
        self.assertEqual(self.counted(), ((2, 2, 0), (1, 1, 0)))
        self.close_all(first)
        self.assertIsNone(self.dial(b"5", observed=HOG).status)

    def test_who_is_expected(self) -> None:
        """Whose partner waits need not wait."""
        for token in (b"1", b"2"):
            self.dial(token, observed=HOG)
        self.accept(b"3", observed=GUEST)
        self.assertEqual(self.dial(b"3", observed=HOG).status, 101)
        self.assertEqual(self.counted(), ((3, 2, 1), (1, 0, 1)))

    def test_pairs_of_who_comes(self) -> None:
        """The one who waits goes on waiting, and meets the next one."""
        for token in (b"1", b"2"):
            self.accept(token, observed=GUEST)
            self.assertEqual(self.dial(token, observed=HOG).status, 101)
        for guest in self.legs:  # the guest's own are gone
            if guest.leg.observed == GUEST:
                self.close_all(guest)
        self.accept(b"3", observed=GUEST)
        for token in (b"4", b"5"):
            self.accept(token, observed="192.0.2.3:5")
            self.dial(token, observed=HOG)
        waiting = self.accept(b"6", observed=GUEST)
        self.assert_refused_for(self.dial(b"6", observed=HOG), Limit.PAIRS)
        self.assertIsNone(waiting.status)
        self.assertEqual(self.dial(b"6", observed="192.0.2.4:5").status, 101)
        self.assertEqual(waiting.status, 101)

    def test_pairs_of_who_waits(self) -> None:
        """It is refused, and the other one waits for the next."""
        late = self.accept(b"3", observed=HOG)
        for token in (b"1", b"2"):
            self.accept(token, observed=HOG)
            self.dial(token, observed="192.0.2.3:5" if token == b"1" else "192.0.2.4:5")
        dialer = self.dial(b"3", observed=GUEST)
        self.assert_refused_for(late, Limit.PAIRS)
        self.assert_waiting(dialer)
        self.assertEqual(self.accept(b"3", observed="192.0.2.9:5").status, 101)

    def test_direct(self) -> None:
        """A pair whose direct path stands has left."""
        for number in range(5):
            dialer = self.dial(b"%d" % number, observed=HOG)
            acceptor = self.accept(b"%d" % number, observed=GUEST)
            self.assertEqual(self.counted(), ((1, 0, 1), (1, 0, 1)))
            self.close_all(dialer, acceptor)

    def test_put_back(self) -> None:
        """Who waits again since its partner left meanwhile is one who waits."""
        self.open(serve=lambda pair: Deferred())
        waiting = self.accept(observed=GUEST)
        dialer = self.dial(observed=HOG)
        self.assertEqual(self.counted(), ((1, 0, 1), (1, 0, 1)))
        self.close_all(dialer)
        self.assert_waiting(waiting)
        self.assertEqual(self.counted(), ((0, 0, 0), (1, 1, 0)))

    def test_in_vain(self) -> None:
        """
        Who leaves, speaks or waits to the end has met nobody, and who may not wait. That counts
        once for a token.
        """
        admission = self.rendezvous.admission

        def failures() -> int:
            """How many more there may be."""
            place = admission.lease(host_of(HOG), counted=False).place
            rate = admission._failures
            assert rate
            return sum(rate.take(place, self.clock.seconds()) for _ in range(100))

        self.close_all(self.dial(b"1", observed=HOG))
        self.dial(b"2", observed=HOG).here.write(b"?")
        self.settle()
        self.dial(b"3", observed=HOG)
        self.close_all(self.dial(b"3", observed=HOG))
        self.dial(b"4", observed=HOG)
        self.accept(b"4", observed=GUEST)
        self.assertEqual(failures(), 57)
        self.clock.advance(1000)
        waiting = [self.dial(token, observed=HOG) for token in (b"a", b"b")]  # and no more may
        for token in (b"6", b"7", b"6"):
            self.assert_refused_for(self.dial(token, observed=HOG), Limit.WAITING)
        self.assertEqual(failures(), 58)
        self.close_all(*waiting)
        self.clock.advance(1000)
        self.dial(b"5", observed=HOG)
        self.clock.advance(300)
        self.assertEqual(failures(), 59)

    def test_embedded(self) -> None:
        """Without limits nobody is counted."""
        super().open()
        for number in range(5):
            self.assertIsNone(self.dial(b"%d" % number, observed=HOG).status)
        self.open()
