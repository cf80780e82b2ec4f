"""
Random scripts of what two clients do, played through a relay on loopback.

``tests/test_reactors.py`` runs this under every reactor. A failure names the seed of its script.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Any

from rdv.server import Outcome
from rdv.test.server.loopback import SMALL, RelaySocketsTestCase, Talker

SEEDS = range(40)


class ScriptChecks:
    """What all ways have in common."""

    async def test_scripts(self: Any) -> None:
        """Whatever they do, every byte is accounted for, and every end is an end."""
        for seed in SEEDS:
            try:
                await self.play(Random(seed))
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error

    async def play(self: Any, random: Random) -> None:
        """One script."""
        pair = await self.relayed(random.choice((0, SMALL)))
        ending: set[Talker] = set()
        for _ in range(random.randrange(5, 40)):
            talker = random.choice(pair)
            what = random.choice(("say", "say", "say", "pause", "resume", "turns", "hear", "end"))
            if what == "say" and talker not in ending:
                talker.say(int(2 ** random.uniform(0, 18)))
            elif what == "pause":
                talker.transport.pauseProducing()
            elif what == "resume" and not talker.ended:
                talker.transport.resumeProducing()
            elif what == "turns":
                await self.turns(random.randrange(10))
            elif what == "hear" and not talker.ended:
                talker.transport.resumeProducing()
                wanted = random.randint(talker.received, self.other(talker).sent)
                await self.until_heard(wanted, talker)
            elif what == "end" and random.random() < 0.3 and talker not in ending:
                ending.add(talker)
                talker.end()
        last = random.choice(("end", "end", "reset", "abort"))
        if last == "end":
            await self.end(pair, ending)
        else:
            await self.break_off(random, last, pair, ending)
        for talker in pair:
            self.assertLessEqual(talker.received, self.other(talker).sent)
        self.assert_right(*pair)

    async def end(self: Any, pair: tuple[Talker, Talker], ending: set[Talker]) -> None:
        """Both end, and have got everything then."""
        for talker in pair:
            if not talker.ended:
                talker.transport.resumeProducing()
            if talker not in ending:
                talker.end()
        await self.until_ended(*pair)
        for talker in pair:
            self.assertEqual(talker.received, self.other(talker).sent)
            self.assertEqual(self.moved(talker), talker.sent)
            talker.transport.loseConnection()
        await self.until_lost(*pair)
        await self.pairs[-1].when_ended()
        self.assertIs(self.pairs[-1].outcome, Outcome.RELAYED)

    async def break_off(
        self: Any, random: Random, how: str, pair: tuple[Talker, Talker], ending: set[Talker]
    ) -> None:
        """One breaks, or the server cuts them: nobody takes a part for the whole."""
        if how == "abort":
            self.pairs[-1].abort()
        else:
            random.choice(pair).reset()
        for talker in pair:
            if not (talker.ended or talker.lost):
                talker.transport.resumeProducing()
        await self.until(lambda: all(talker.ended or talker.lost for talker in pair))
        for talker in pair:
            if talker.ended:
                self.assertIn(self.other(talker), ending)
                self.assertEqual(talker.received, self.other(talker).sent)
            talker.reset()
        await self.pairs[-1].when_ended()


class SplicedTests(ScriptChecks, RelaySocketsTestCase):
    """The kernel moves the bytes."""

    if sys.platform != "linux":
        skip = "only Linux has splice"


class CopiedTests(ScriptChecks, RelaySocketsTestCase):
    """They are copied."""

    spliced = False


class TappedTests(ScriptChecks, RelaySocketsTestCase):
    """Somebody looks into them."""

    spliced, tapped = False, True
