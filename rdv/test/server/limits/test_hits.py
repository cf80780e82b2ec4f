"""
Which addresses limits have hit.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import network_of
from rdv.server.limits.hits import Frequent, HitCounts, Hits
from rdv.server.limits.numbers import Limit


class FrequentTests(SynchronousTestCase):
    @given(st.lists(st.binary(min_size=1, max_size=1), max_size=200), st.integers(1, 20))
    def test_bounds(self, keys: list[bytes], room: int) -> None:
        """No more than there is room for; those that are frequent are in, with enough."""
        frequent, exact = Frequent(room), Counter(keys)
        for key in keys:
            frequent.add(key)
        found = dict(frequent.most(1000))
        self.assertLessEqual(len(found), room)
        for key, number in exact.items():
            if number > len(keys) / room:
                self.assertIn(key, found)
        for key, number in found.items():
            self.assertTrue(exact[key] <= number <= exact[key] + len(keys) / room)


class BitesTests(SynchronousTestCase):
    def test_taken(self) -> None:
        """By limit, with the worst, since it was asked last; totals since the start."""
        hits = HitCounts()
        self.assertEqual(hits.take(), [])
        for host, number in (("192.0.2.1", 2), ("2001:db8:1:2:3::4", 3), ("192.0.2.7", 1)):
            for _ in range(number):
                hits.add(Limit.WAITING, network_of(host))
        hits.add(Limit.REQUESTS, network_of("192.0.2.1"))
        self.assertEqual(
            hits.take(2),
            [
                Hits("waiting", 6, [("2001:db8:1:2::/64", 3), ("192.0.2.1", 2)]),
                Hits("requests", 1, [("192.0.2.1", 1)]),
            ],
        )
        self.assertEqual(hits.take(), [])
        hits.add(Limit.WAITING, network_of("192.0.2.1"))
        self.assertEqual(hits.take(), [Hits("waiting", 1, [("192.0.2.1", 1)])])
        self.assertEqual(
            hits.totals,
            {"connections": 0, "waiting": 7, "pairs": 0, "requests": 1, "failures": 0},
        )
