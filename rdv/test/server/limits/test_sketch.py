"""Counts and rates in little memory."""

from __future__ import annotations

from array import array
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.limits.sketch import FIELD, SLOTS, Counts, KeyedHash, Place, Rate

#: Keys that share some of their slots, or all, with others.
_FEW = st.sampled_from([1, 2, 1 << 17 | 1, 1 << 17 | 2, 1 << 34 | 1, 1 << 63 | 1, (1 << 34) - 1])
#: This many keys further, there is one that shares no slot.
_STEP = 1 | 1 << 17
#: One more of a kind.
_MORE = [1 << FIELD * kind for kind in range(3)]


def _parts(number: int) -> list[memoryview[int]]:
    return [memoryview(array("Q", bytes(8 * SLOTS))) for _ in range(number)]


def _times() -> memoryview[float]:
    return memoryview(array("d", bytes(8 * SLOTS)))


def _add(counts: Counts, key: int, change: int) -> None:
    place = Place(key)
    counts.own[place.one] += change
    counts.own[place.other] += change


class KeyedHashTests(SynchronousTestCase):
    def test_secret(self) -> None:
        """The same text has another number with another secret, and the same one with the same."""
        one, same, other = KeyedHash(b"a"), KeyedHash(b"a"), KeyedHash(b"b")
        self.assertEqual(one(b"text"), same(b"text"))
        self.assertNotEqual(one(b"text"), other(b"text"))
        self.assertNotEqual(one(b"text"), one(b"texts"))


class CountsTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.integers(0, 2), _FEW, st.integers(0, 2))))
    def test_never_too_low(self, added: list[tuple[int, int, int]]) -> None:
        """However keys collide, and whoever has added them."""
        parts = _parts(3)
        counts = [Counts(parts, own) for own in range(3)]
        exact: Counter[tuple[int, int]] = Counter()
        for own, key, kind in added:
            _add(counts[own], key, _MORE[kind])
            exact[key, kind] += 1
        for (key, kind), number in exact.items():
            self.assertGreaterEqual(counts[0].count(Place(key), kind), number)
            self.assertTrue(counts[1].has(Place(key), kind, number))

    @given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2))))
    def test_exact(self, added: list[tuple[int, int]]) -> None:
        """Without collisions; and when all have gone there is nothing left."""
        parts = _parts(1)
        counts = Counts(parts, 0)
        keys = [(5 + number * _STEP, kind) for number, kind in added]
        for key, kind in keys:
            _add(counts, key, _MORE[kind])
        for (key, kind), number in Counter(keys).items():
            self.assertEqual(counts.count(Place(key), kind), number)
            self.assertTrue(counts.has(Place(key), kind, number))
            self.assertFalse(counts.has(Place(key), kind, number + 1))
        for key, kind in keys:
            _add(counts, key, -_MORE[kind])
        self.assertFalse(any(parts[0]))

    def test_from_one_to_another(self) -> None:
        """In one step, with a count that is none of the others' business."""
        counts = Counts(_parts(2), 1)
        _add(counts, 7, _MORE[0] + _MORE[1])
        _add(counts, 7, _MORE[2] - _MORE[1])
        self.assertEqual([counts.count(Place(7), kind) for kind in range(3)], [1, 0, 1])

    def test_many(self) -> None:
        """
        Beside 100,000 addresses with up to four connections each, and 1000 that have all that they
        may, one that is within its limits is refused with a chance below 1e-4.
        """
        random = Random(7)
        counts = Counts(_parts(1), 0)
        for _ in range(100_000):
            key = random.getrandbits(64)
            _add(counts, key, random.randint(1, 4))
        for _ in range(1000):
            _add(counts, random.getrandbits(64), 256)
        refused = sum(counts.has(Place(random.getrandbits(64)), 0, 256 - 3) for _ in range(100_000))
        self.assertLess(refused, 10)


class RateTests(SynchronousTestCase):
    """Two a second, and ten at once."""

    def setUp(self) -> None:
        self.times = _times()
        self.rate = Rate(self.times, 2, 5)

    def taken(self, key: int, now: float, tries: int = 100) -> int:
        """How many of so many are allowed."""
        return sum(self.rate.take(Place(key), now) for _ in range(tries))

    def test_at_once(self) -> None:
        """So many, and then one for each interval."""
        self.assertEqual(self.taken(1, 1000), 10)
        self.assertEqual(self.taken(1, 1000.49), 0)
        self.assertEqual(self.taken(1, 1000.5), 1)
        self.assertEqual(self.taken(1, 1002.5), 4)
        self.assertEqual(self.taken(1, 2000), 10)

    def test_refused_are_free(self) -> None:
        """Whoever goes on asking gets as many as if it did not."""
        steps = [self.taken(1, 1000 + n / 10, 3) for n in range(1, 201)]
        self.assertEqual(sum(steps), 10 + 39)

    def test_own(self) -> None:
        """Of one address others know nothing."""
        self.taken(1, 1000)
        self.assertEqual(self.taken(1 + _STEP, 1000), 10)

    def test_collision(self) -> None:
        """One that shares one of its slots with somebody who has used it up has its own."""
        self.taken(0, 1000)
        self.assertEqual(self.taken(1, 1000), 10)
        self.assertEqual(self.taken(1 << 17, 1000), 10)

    def test_debt(self) -> None:
        """What is spent without being asked is forgotten after two windows at most."""
        for _ in range(1000):
            self.rate.spend(Place(1), 1000)
        self.assertFalse(self.rate.allows(Place(1), 1005))
        self.assertTrue(self.rate.allows(Place(1), 1010))

    @given(st.lists(st.tuples(st.floats(0, 3), _FEW), max_size=60))
    def test_never_more(self, asked: list[tuple[float, int]]) -> None:
        """However keys collide, none gets more than it may."""
        rate, now, got = Rate(_times(), 2, 5), 1000.0, Counter[int]()
        for pause, key in asked:
            now += pause
            got[key] += rate.take(Place(key), now)
        for key in got:
            self.assertLessEqual(got[key], 10 + 2 * (now - 1000))

    def test_other_processes(self) -> None:
        """What others write counts here."""
        other = Rate(self.times, 2, 5)
        for _ in range(10):
            other.take(Place(1), 1000)
        self.assertEqual(self.taken(1, 1000), 0)
