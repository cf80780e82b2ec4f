"""
Turns, of which no party gets all.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.access.auth_url import Turns


class TurnsTests(SynchronousTestCase):
    """``Turns``: three, and two for one party."""

    def setUp(self) -> None:
        self.turns = Turns(3, 2)
        self.begun: list[str] = []

    def take(self, name: str) -> tuple[Deferred[None], Deferred[None]]:
        """
        Wait for one, in the name of the party of its first letter.

        :return: all of it, and what ends it when it has begun.
        """
        end: Deferred[None] = Deferred()

        async def turn() -> None:
            async with self.turns.turn(name[:1].encode()):
                self.begun.append(name)
                await end

        return Deferred.fromCoroutine(turn()), end

    def test_order(self) -> None:
        """A third one of a party waits for one of its own, and whoever finds no room for any."""
        names = ("a1", "a2", "a3", "b1", "b2", "")
        turns = {name: self.take(name) for name in names}
        self.assertEqual(self.begun, ["a1", "a2", "b1"])
        for name, begins in (("b1", "b2"), ("a1", ""), ("b2", "a3")):
            turns[name][1].callback(None)
            self.successResultOf(turns[name][0])
            self.assertEqual(self.begun[-1], begins)
        for name in ("a2", "a3", ""):
            turns[name][1].callback(None)
        self.assertEqual((len(self.begun), len(self.turns)), (6, 0))

    def test_left(self) -> None:
        """Who leaves in either queue, or in the middle, or fails, takes no turn along."""
        turns = {name: self.take(name) for name in ("a1", "a2", "a3", "b1", "c1")}
        for name in ("a3", "c1", "a1"):
            turns[name][0].cancel()
            self.failureResultOf(turns[name][0], CancelledError)
        turns["a2"][1].errback(ZeroDivisionError())
        self.failureResultOf(turns["a2"][0], ZeroDivisionError)
        turns["b1"][1].callback(None)
        self.assertEqual((self.begun, len(self.turns)), (["a1", "a2", "b1"], 0))
        for name in ("a4", "a5", "b2"):
            self.take(name)
        self.assertEqual(self.begun[3:], ["a4", "a5", "b2"])
