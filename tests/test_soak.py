"""
``benchmarks/soak.py``, for some seconds.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.servers import SystemTestCase


class SoakTests(SystemTestCase):
    async def test_mixed_guests(self) -> None:
        """Every byte, answer and end is right, and when all have left nothing of them is there."""
        soak = Program(self, PYTHON, "-m", "benchmarks.soak", "--seconds", "3")
        self.assertEqual(await soak.ended, 0, soak.report())
        for workers in (1, 2):
            self.assertRegex(soak.stdout.decode(), rf"(?s)--workers {workers}\n.*\n0 wrong\n")
