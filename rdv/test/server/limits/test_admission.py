"""
Which clients are admitted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.limits.admission import Admission, TooMany
from rdv.server.limits.lease import NOBODY, Lease
from rdv.server.limits.numbers import NO_LIMITS, Limit, Limits

HOST, OTHER = "192.0.2.1", "192.0.2.2"


class _Case(SynchronousTestCase):
    limits: Limits

    def setUp(self) -> None:
        self.clock = Clock()
        self.admission = Admission(self.clock, self.limits)

    def leases(self, number: int, host: str = HOST) -> list[Lease]:
        """Connections."""
        return [self.admission.admit(host) for _ in range(number)]

    def named(self, host: str, addresses: str) -> None:
        """A client names its own addresses."""
        lease = self.admission.lease(host)
        self.admission.named(lease, host, addresses)
        lease.end()

    def counted(self, lease: Lease) -> list[int]:
        """How many connections its address has, and who wait, and are in pairs."""
        return [self.admission.counts.count(lease.place, kind) for kind in range(3)]

    def refused(self, host: str = HOST) -> TooMany:
        """One more may not come in."""
        error: TooMany = self.assertRaises(TooMany, self.admission.admit, host)
        return error


class CountsTests(_Case):
    """Limits of three connections, two waiting clients, and two in pairs."""

    limits = Limits(connections=3, waiting=2, pairs=2, requests=0, failures=0)

    def test_connections(self) -> None:
        """So many of one address at a time."""
        leases = self.leases(3)
        error = self.refused()
        self.assertEqual((error.status, error.answered), (429, True))
        self.assertIn("too many connections", str(error))
        self.leases(3, OTHER)
        leases[0].end()
        self.leases(1)
        self.refused()
        self.assertEqual(self.admission.hits.totals["connections"], 2)

    def test_network(self) -> None:
        """A /64 is one address, and one of IPv4 is the same over IPv6."""
        self.leases(1, "2001:db8:1:2::1")
        self.leases(1, "2001:db8:1:2:ffff::")
        self.leases(1, "2001:db8:1:2:3:4:5:6")
        self.refused("2001:db8:1:2::7")
        self.leases(3, "2001:db8:1:3::1")
        self.leases(3)
        self.refused(f"::ffff:{HOST}")

    def test_ends_once(self) -> None:
        """However often it is told."""
        leases = self.leases(3)
        for _ in range(2):
            leases[0].end()
        self.leases(1)
        self.refused()

    def test_phases(self) -> None:
        """Who waits, and who is in a pair, is counted as that for as long."""
        leases = self.leases(3)
        for lease in leases[:2]:
            self.assertTrue(lease.may(Limit.WAITING))
            lease.waits(b"token")
        self.assertFalse(leases[2].may(Limit.WAITING))
        self.assertTrue(leases[2].may(Limit.PAIRS))
        leases[0].meets(NOBODY, b"token")
        self.assertTrue(leases[2].may(Limit.WAITING))
        leases[1].meets(NOBODY, b"token")
        self.assertFalse(leases[2].may(Limit.PAIRS))
        leases[1].end()
        self.assertTrue(leases[2].may(Limit.PAIRS))
        self.assertEqual(
            [tuple(each) for each in self.admission.hits.take()],
            [("waiting", 1, [(HOST, 1)]), ("pairs", 1, [(HOST, 1)])],
        )

    def test_nothing_left(self) -> None:
        """When all have ended there is nothing."""
        for lease in self.leases(3):
            for end in (lease.leaves, lease.end, lease.end):
                lease.waits(b"token")
                lease.meets(NOBODY, b"token")
                lease.waits(b"token")
                end()
        self.assertEqual(self.counted(self.leases(1)[0]), [1, 0, 0])

    def test_passed_on(self) -> None:
        """Who was admitted elsewhere is counted, not limited."""
        leases = [self.admission.lease(HOST) for _ in range(5)]
        self.refused()
        for lease in leases[:3]:
            lease.end()
        self.leases(1)
        self.refused()

    def test_unknown(self) -> None:
        """Nothing is counted of whom nobody knows where it comes from."""
        for _ in range(10):
            lease = self.admission.admit("")
            self.assertIs(lease, NOBODY)
            self.assertIs(self.admission.lease(""), NOBODY)
            self.assertTrue(lease.may(Limit.WAITING))
            lease.waits(b"token")
            lease.end()
        self.admission.ask("")

    def test_uncounted(self) -> None:
        """Of a resource in another site only what it has taken is counted."""
        lease = self.admission.lease(HOST, counted=False)
        lease.waits(b"token")
        self.assertEqual(self.counted(lease), [0, 1, 0])
        lease.end()

    def test_proxy(self) -> None:
        """What is a proxy's is still counted, and no limit holds for it."""
        for host in range(8):
            self.named("10.0.0.1", f"192.168.0.{host}:7")
        leases = self.leases(10, "10.0.0.1")
        for lease in leases:
            self.assertTrue(lease.may(Limit.WAITING))
            lease.waits(b"token")
        self.assertFalse(any(self.admission.hits.totals.values()))
        for host in range(8):
            self.named(HOST, f"192.168.0.{host}:7")
        self.leases(3)
        self.refused()


class RatesTests(_Case):
    """A limit of two requests a second, unless stated otherwise."""

    limits = Limits(0, 0, 0, requests=2, failures=0)

    def test_requests(self) -> None:
        """Ten seconds' worth at once, of connections and what else comes on them."""
        self.leases(15)
        for _ in range(5):
            self.admission.ask(HOST)
        self.assertIn("too many requests", str(self.refused()))
        self.assertRaises(TooMany, self.admission.ask, HOST)
        self.leases(1, OTHER)
        self.clock.advance(5)
        self.leases(10)
        self.refused()

    def test_tried(self) -> None:
        """Counts like a request; if it may not be, not even as one that a limit has hit."""
        self.assertEqual([self.admission.try_ask(HOST) for _ in range(21)], [True] * 20 + [False])
        self.assertEqual(sum(self.admission.hits.totals.values()), 0)
        self.assertRaises(TooMany, self.admission.ask, HOST)
        self.assertTrue(self.admission.try_ask(OTHER))
        self.assertTrue(self.admission.try_ask(""))

    def test_answers(self) -> None:
        """Of many that are too many only some are told."""
        self.admission = Admission(self.clock, Limits(3, 0, 0, 0, 0))
        self.leases(3)
        self.assertEqual([self.refused().answered for _ in range(60)], [True] * 50 + [False] * 10)
        self.clock.advance(1)
        self.assertEqual([self.refused().answered for _ in range(6)], [True] * 5 + [False])

    def test_failures(self) -> None:
        """Three minutes' worth of those who come and meet nobody; others do not matter."""
        self.admission = Admission(self.clock, Limits(0, 0, 0, requests=0, failures=10))
        for number in range(50):
            lease, other = self.leases(1)[0], self.leases(1, OTHER)[0]
            lease.waits(b"%d" % number)
            lease.meets(other, b"%d" % number)
            lease.end()
            self.leases(1)[0].end()
        for number in range(30):
            lease = self.leases(1)[0]
            lease.waits(b"%d" % number)
            lease.end()
        self.assertIn("failed meetings", str(self.refused()))
        self.clock.advance(6)
        self.leases(1)[0].waits(b"token")
        self.leases(1, OTHER)

    def failures(self, step: Callable[[bytes], None], lease: Lease) -> int:
        """How many more of its address are allowed when that has happened with 20 tokens."""
        for number in range(20):
            step(b"%d" % number)
        rate = self.admission._failures
        assert rate is not None
        return sum(rate.take(lease.place, self.clock.seconds()) for _ in range(60))

    def test_guesses(self) -> None:
        """Who asks for nobody and may not wait fails as well, or meets one of the same address."""
        limits = Limits(0, 0, 0, requests=0, failures=10)
        for way, left in (("may not wait", 10), ("another", 30), ("the same", 10)):
            self.admission = Admission(self.clock, limits)
            one, same, other = *self.leases(2), *self.leases(1, OTHER)
            steps: dict[str, Callable[[bytes], None]] = {
                "may not wait": one.misses,
                "another": partial(one.meets, other),
                "the same": partial(one.meets, same),
            }
            self.assertEqual(self.failures(steps[way], one), left)

    def test_again(self) -> None:
        """Who comes again with a token fails once."""
        self.admission = Admission(self.clock, Limits(0, 0, 0, requests=0, failures=10))
        for _ in range(100):
            (lease,) = self.leases(1)
            lease.misses(b"token")
            lease.waits(b"token")
            lease.end()
            self.clock.advance(10)


class NoLimitsTests(SynchronousTestCase):
    def test_free(self) -> None:
        """Nothing is counted, of nobody."""
        admission = Admission(Clock(), NO_LIMITS)
        for _ in range(3000):
            self.assertIs(admission.admit(HOST), NOBODY)
        admission.ask(HOST)
        admission.named(NOBODY, "10.0.0.1", "1.2.3.4:5")
        self.assertIs(admission.lease(HOST), NOBODY)

    def test_wrong(self) -> None:
        """What is no number of anything is told by name."""
        for wrong in (-1, 10**9):
            self.assertRaisesRegex(ValueError, "pairs", Limits, pairs=wrong)
        self.assertRaisesRegex(TypeError, "waiting", Limits, waiting=1.5)
