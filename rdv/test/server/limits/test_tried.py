"""Tokens that an address has tried before."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv.server.limits.tried import TOKENS, Tried

ONE, OTHER = 1, 2


class TriedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tried = Tried()

    def new(self, *tokens: bytes, key: int = ONE, now: float = 0.0) -> list[bool]:
        """Which of these are, one after the other."""
        return [self.tried.is_new(key, token, now) for token in tokens]

    def test_again(self) -> None:
        """It is new once; to another address it still is."""
        self.assertEqual(self.new(b"a", b"a", b"b", b"a"), [True, False, True, False])
        self.assertEqual(self.new(b"a", key=OTHER), [True])

    def test_a_minute(self) -> None:
        """Counted from the last time."""
        times = (0.0, 59.0, 118.0, 178.0, 237.9)
        found = [self.new(b"a", now=now) for now in times]
        self.assertEqual(found, [[True], [False], [False], [True], [False]])

    def test_many(self) -> None:
        """So many of one address are remembered, as long as it comes with them; others are new."""
        tokens = [b"%d" % n for n in range(TOKENS)]
        self.new(*tokens)
        for now in (20.0, 40.0, 60.0, 80.0):
            self.assertEqual(self.new(b"another", now=now), [True])
            self.assertFalse(any(self.new(*tokens, now=now)))
        self.assertEqual(self.new(b"another", b"another", now=140.0), [True, False])
        self.assertEqual(self.new(b"0", now=140.0), [True])

    def test_many_addresses(self) -> None:
        """The one that has been silent longest is forgotten, and nothing grows without bound."""
        for key in range(3000):
            self.new(b"a", key=key)
            self.new(b"a", key=0)
        self.assertEqual(self.new(b"a", key=1), [True])
        self.assertEqual(self.new(b"a", key=2999), [False])
        self.assertEqual(self.new(b"a", key=0), [False])
        self.assertEqual(len(self.tried._times), 1024)
