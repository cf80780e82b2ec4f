"""The memory in which several processes count."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.server.limits.memory import HIDING, RATES, Memory
from rdv.server.limits.sketch import SLOTS


class MemoryTests(SynchronousTestCase):
    """Three workers in one memory."""

    def setUp(self) -> None:
        first, descriptor = Memory.to_share(3)
        self.addCleanup(os.close, descriptor)
        self.workers = [first, *(Memory(3, own, descriptor) for own in (1, 2))]

    def pieces(self, memory: Memory) -> list[memoryview[Any]]:
        """All that is in it."""
        return [*map(memory.times, range(RATES)), *memory.counts(), *memory.hiding()]

    def test_shared(self) -> None:
        """What one writes the others read, and everything has a place of its own."""
        first, second, _ = map(self.pieces, self.workers)
        for number, piece in enumerate(first, 1):
            piece[0] = piece[-1] = number
        for number, piece in enumerate(second, 1):
            self.assertEqual((piece[0], piece[-1]), (number, number))
        sizes = [SLOTS] * RATES + [SLOTS] * 3 + [HIDING] * 3
        self.assertEqual([len(each) for each in first], sizes)

    def test_secret(self) -> None:
        """One for all of them, which is random; nothing that is written touches it."""
        secret = self.workers[0].secret
        for piece in self.pieces(self.workers[1]):
            piece[0] = 1
        self.assertEqual({each.secret for each in self.workers}, {secret})
        self.assertNotEqual(Memory().secret, Memory().secret)
        self.assertGreater(len(set(secret)), 8)

    def test_clear(self) -> None:
        """Only the counts of the worker that is named are gone, all of them."""
        for piece in self.pieces(self.workers[0]):
            piece[0] = piece[-1] = 7
        self.workers[2].clear(1)
        parts = self.workers[0].counts()
        self.assertEqual([(part[0], part[-1]) for part in parts], [(7, 7), (0, 0), (7, 7)])
        self.assertEqual([part[0] for part in self.workers[0].hiding()], [7, 0, 7])
        self.assertEqual(self.workers[0].times(RATES - 1)[-1], 7)
