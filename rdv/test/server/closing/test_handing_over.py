"""
What happens to the clients of a rendezvous that has a successor.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rdv.server.leg import Leg
from rdv.server.refusals import EARLY, ELSEWHERE, REPLACED, SHUTDOWN
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase
from rdv.wire import Offer, Role, refusal


class HandingOverTests(ServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.taken: list[Leg] = []
        self.refusing = False

    def successor(self, leg: Leg) -> bool:
        if not self.refusing:
            self.taken.append(leg)
        return not self.refusing

    def test_waiting(self) -> None:
        """Who waits goes there, and so do those who come now; that is all."""
        waiting = [self.dial(b"1"), self.accept(b"2")]
        done = self.rendezvous.close(60.0, self.successor)
        late = self.dial(b"3")
        self.assertEqual(self.taken, [guest.leg for guest in (*waiting, late)])
        self.assertEqual([guest.received for guest in (*waiting, late)], [b""] * 3)
        self.assertFalse(self.rendezvous.closing)
        self.successResultOf(done)
        self.assertEqual(self.rendezvous.waiting, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannot_go(self) -> None:
        """They may come again at once: there is somebody who takes them."""
        waiting = self.dial()
        self.refusing = True
        done = self.rendezvous.close(60.0, self.successor)
        self.settle()
        self.assertEqual(waiting.take(), refusal(*ELSEWHERE, 0))
        self.assertIn(b"Retry-After: 0\r\n", refusal(*ELSEWHERE, 0))
        self.assertNoResult(done)
        self.close_all(waiting)
        self.successResultOf(done)

    def test_too_early(self) -> None:
        """Bytes that were read here are not to be lost on the way."""
        self.rendezvous.close(60.0, self.successor)
        guest = self.come(Role.DIALER, early=b"?")
        self.assert_refused(guest, *EARLY)
        self.assertEqual(self.taken, [])

    def test_pairs(self) -> None:
        """They stay, whether they have begun or not, as long as there is time."""
        dialer, acceptor = self.relayed_pair()
        met = self.pair_of(b"second")
        done = self.rendezvous.close(60.0, self.successor)
        self.clock.advance(20)
        self.assertEqual([guest.lost for guest in met], [None, None])
        self.clock.advance(39)
        dialer.here.write(b"words")
        self.settle()
        self.assertEqual(acceptor.take(), b"words")
        self.clock.advance(1)
        self.settle()
        self.successResultOf(done)
        self.assertTrue(dialer.lost and acceptor.lost)

    def pair_of(self, token: bytes) -> tuple[Guest, Guest]:
        """Two who have met."""
        guests = self.dial(token), self.accept(token)
        self.assertEqual([guest.status for guest in guests], [101, 101])
        return guests

    def test_under_decision(self) -> None:
        """The hook is waited for; a client whose peer leaves meanwhile goes to the successor."""
        thoughts: list[Deferred[None]] = []

        def serve(pair: object) -> Deferred[None]:
            thoughts.append(Deferred())
            return thoughts[-1]

        self.open(serve=serve)
        first, second = [(self.dial(token), self.accept(token)) for token in (b"1", b"2")]
        done = self.rendezvous.close(60.0, self.successor)
        self.close_all(second[0])
        self.assertEqual(self.taken, [second[1].leg])
        self.assertNoResult(done)
        thoughts[0].callback(None)
        self.settle()
        self.assertEqual([guest.status for guest in first], [101, 101])
        self.assertNoResult(done)
        self.close_all(*first)
        self.successResultOf(done)

    def test_told_to_end(self) -> None:
        """Later: the pairs have so much time from then on, and nobody goes anywhere."""
        dialer, acceptor = self.relayed_pair()
        done = self.rendezvous.close(3600.0, self.successor)
        self.clock.advance(60)
        again = self.rendezvous.close(5.0)
        self.assertTrue(self.rendezvous.closing)
        self.assert_refused(self.dial(b"late"), *SHUTDOWN)
        self.clock.advance(4)
        self.assertIsNone(dialer.lost)
        self.clock.advance(1)
        self.settle()
        for each in (done, again):
            self.successResultOf(each)
        self.assertTrue(dialer.lost and acceptor.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ArrivalTests(ServerTestCase):
    """At the successor."""

    def arrive(self, role: Role, waited: float) -> Guest:
        """A client that has waited elsewhere."""
        leg = Leg(Offer(role, b"token", ""), "", self.rendezvous)
        guest = Guest(self.clock, leg)
        self.rendezvous.enter(leg, waited=waited)
        self.settle()
        return guest

    def test_meets(self) -> None:
        """Its peer may have come before, or come now."""
        for first in (False, True):
            dialer = self.dial() if first else None
            acceptor = self.arrive(Role.ACCEPTOR, 12.0)
            dialer = dialer or self.dial()
            self.assertEqual((dialer.status, acceptor.status), (101, 101))
            acceptor.here.write(HELLO)
            dialer.here.write(CONFIRM)
            self.settle()
            self.close_all(dialer, acceptor)

    def test_older(self) -> None:
        """Whoever has come here meanwhile is the newer one."""
        newer = self.accept()
        older = self.arrive(Role.ACCEPTOR, 12.0)
        self.assert_refused(older, *REPLACED)
        self.assert_waiting(newer)

    def test_how_long(self) -> None:
        """It has waited all the time, which the record says."""
        self.clock.advance(100)
        guest = self.arrive(Role.ACCEPTOR, 12.0)
        self.assertEqual(guest.leg.arrived, 88.0)
