"""
``benchmarks/attacks.py``, as short as can be.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.servers import SystemTestCase


class AttacksTests(SystemTestCase):
    async def test_everybody_gets_in(self) -> None:
        """While one address trickles, or guesses, or wants all that can be relayed."""
        kinds = ("trickle", "guessing", "limited hogs")
        options = ("--descriptors", "512", "--addresses", "1", "--pairs", "5", "--kinds", *kinds)
        attacks = Program(self, PYTHON, "-m", "benchmarks.attacks", *options)
        self.assertEqual(await attacks.ended, 0, attacks.report())
        for kind in kinds:
            self.assertRegex(attacks.stdout.decode(), rf"{kind}, 1 address +512  5 of 5 ")
