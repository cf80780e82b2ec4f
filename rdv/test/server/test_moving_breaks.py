"""
Relayed pairs that break: whoever has not got everything is told so.

``tests/test_reactors.py`` runs this under every reactor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rdv._flows.kernel import splice
from rdv.server import Outcome
from rdv.test.server.loopback import MEBI, SMALL, RelaySocketsTestCase, Talker


class BreakChecks:
    """What all ways have in common."""

    async def assert_broken(self: Any, *talkers: Talker) -> None:
        """These see a break. What they have got is the beginning of what was sent."""
        for talker in talkers:
            if not (talker.ended or talker.lost):
                talker.transport.resumeProducing()
        for talker in talkers:
            while talker.ended and not talker.lost:
                # It hears nothing any more, but finds out when it speaks.
                talker.say(1)
                await self.turn()
        await self.until_lost(*talkers)
        for talker in talkers:
            self.assertTrue(talker.broken, talker.lost)
        self.assert_right(*talkers)
        for pair in self.pairs:
            await pair.when_ended()
            self.assertIs(pair.outcome, Outcome.RELAYED)

    async def test_reset_of_the_sender(self: Any) -> None:
        """In the middle. No end is shown, only the break."""
        async for sender, receiver in self.either_way():
            sender.say(8 * MEBI)
            await self.until_heard(MEBI, receiver)
            sender.reset()
            await self.assert_broken(receiver)
            self.assertFalse(receiver.ended)
            self.assertLess(receiver.received, sender.sent)

    async def test_reset_of_the_receiver(self: Any) -> None:
        async for sender, receiver in self.either_way():
            sender.say(8 * MEBI)
            await self.until_heard(MEBI, receiver)
            receiver.reset()
            await self.assert_broken(sender)
            self.assertFalse(sender.ended)

    async def test_reset_while_both_send(self: Any) -> None:
        async for first, second in self.either_way():
            for talker in (first, second):
                talker.say(8 * MEBI)
            await self.until_heard(MEBI, first, second)
            first.reset()
            await self.assert_broken(second)
            self.assertFalse(second.ended)

    async def test_reset_in_silence(self: Any) -> None:
        """Nobody sends anything."""
        async for first, second in self.either_way():
            first.say(100)
            await self.got(second)
            first.reset()
            await self.assert_broken(second)

    async def test_reset_of_a_stalled_receiver(self: Any) -> None:
        """Everything on the way is full."""
        async for sender, receiver in self.either_way(SMALL):
            await self.stall(sender, receiver)
            receiver.reset()
            await self.assert_broken(sender)

    async def test_reset_of_one_who_was_stopped(self: Any) -> None:
        """The same, from the other side: what it has sent is not complete."""
        async for sender, receiver in self.either_way(SMALL):
            await self.stall(sender, receiver)
            sender.reset()
            await self.assert_broken(receiver)
            self.assertFalse(receiver.ended)

    async def test_reset_while_both_are_stalled(self: Any) -> None:
        async for first, second in self.either_way(SMALL):
            await self.stall(first, second)
            await self.stall(second, first)
            first.reset()
            await self.assert_broken(second)
            self.assertFalse(second.ended)

    async def test_reset_behind_its_end(self: Any) -> None:
        """One whose own direction is complete, and who is being sent to."""
        async for first, second in self.either_way():
            first.say(1000)
            first.end()
            await self.until_ended(second)
            second.say(8 * MEBI)
            await self.until_heard(MEBI, first)
            first.reset()
            await self.assert_broken(second)

    async def test_reset_behind_its_end_in_silence(self: Any) -> None:
        async for first, second in self.either_way():
            first.say(1000)
            first.end()
            await self.until_ended(second)
            second.say(1000)
            await self.got(first)
            first.reset()
            await self.assert_broken(second)

    async def test_reset_of_one_whose_peer_has_ended(self: Any) -> None:
        """The one that has ended still reads: it must see the break."""
        async for first, second in self.either_way():
            second.say(1000)
            second.end()
            await self.until_ended(first)
            first.say(8 * MEBI)
            await self.until_heard(MEBI, second)
            first.reset()
            await self.assert_broken(second)
            self.assertFalse(second.ended)

    async def test_closes_and_is_still_sent_to(self: Any) -> None:
        """Its end alone does not say whether it reads; what comes then shows it."""
        async for gone, other in self.either_way():
            gone.say(MEBI)
            await self.got(other)
            gone.transport.loseConnection()
            await self.until_ended(other)
            await self.got(other)
            other.say(MEBI)
            await self.assert_broken(other)

    async def test_abort(self: Any) -> None:
        """In the middle, and while everything is full."""
        await self.check_cut(lambda: self.pairs[-1].abort())

    async def test_abort_all(self: Any) -> None:
        await self.check_cut(lambda: self.rendezvous.abort())

    async def test_shutdown(self: Any) -> None:
        """Without any time to drain."""
        await self.check_cut(lambda: self.rendezvous.close(), times=1)

    async def check_cut(self: Any, cut: Callable[[], object], times: int = 2) -> None:
        """The server cuts a pair, or all."""
        pairs = []
        async for sender, receiver in self.either_way(SMALL):
            pairs.append((sender, receiver))
            await self.stall(sender, receiver)
            receiver.say(MEBI)
            if len(pairs) == 2:
                await self.until_heard(MEBI // 2, sender)
            if times == 2 or len(pairs) == 2:
                cut()
                await self.assert_broken(sender, receiver)
                self.assertFalse(sender.ended or receiver.ended)

    async def stall(self: Any, sender: Talker, receiver: Talker) -> None:
        """Send until everything on the way is full."""
        receiver.transport.pauseProducing()
        sender.say(4 * MEBI)
        await self.until_full(sender)

    async def until_full(self: Any, sender: Talker) -> None:
        """Wait until the server stops reading from that one."""
        before = -1
        while self.moved(sender) != before:
            before = self.moved(sender)
            await self.turns()


class SplicedTests(BreakChecks, RelaySocketsTestCase):
    """The kernel moves the bytes."""

    if sys.platform != "linux":
        skip = "only Linux has splice"

    async def until_full(self, sender: Talker) -> None:
        """Wait until a pipe is in use, and stays so."""
        before = self.splicer.pipes.taken
        await BreakChecks.until_full(self, sender)
        self.assertGreaterEqual(self.splicer.pipes.taken, before)

    async def test_full_pipes(self) -> None:
        """They are full in those tests in which everything is."""
        async for sender, receiver in self.either_way(SMALL):
            await self.stall(sender, receiver)
            await self.until_turn(lambda: self.splicer.pipes.taken)
            receiver.reset()
            await self.assert_broken(sender)
            self.assertEqual(self.splicer.pipes.taken, 0)

    async def test_reset_behind_its_end_is_noticed(self) -> None:
        """Though there is nothing to be read from it, nor to be written to it."""
        async for first, second in self.either_way():
            first.say(1000)
            first.end()
            await self.until_ended(second)
            second.say(1000)
            await self.got(first)
            first.reset()
            await self.pairs[-1].when_ended()

    async def test_hang_up(self) -> None:
        """
        Both have ended, but one has still to read: the kernel would tell of the other's hang-up
        for ever.
        """
        async for sender, receiver in self.either_way(SMALL):
            await self.stall(sender, receiver)
            sender.end()
            receiver.say(100)
            receiver.end()
            await self.until_ended(sender)
            await self.turns()
            looks: list[None] = []
            watcher = self.splicer.watcher
            look = watcher.doRead

            def count(looks: list[None] = looks, look: Callable[[], None] = look) -> None:
                looks.append(None)
                look()

            patch = self.patch(watcher, "doRead", count)
            await self.turns(100)
            patch.restore()
            self.assertLess(len(looks), 5)
            receiver.transport.resumeProducing()
            await self.until_ended(receiver)
            await self.got(receiver)

    async def test_mistake(self) -> None:
        """An exception of ours costs the pair: both are told, and the others go on."""
        good = await self.relayed()
        for talker in good:
            talker.say(1000)
        await self.got(*good)
        async for sender, receiver in self.either_way():
            for size in (1000, 1000):  # the second is the kernel's
                sender.say(size)
                await self.got(receiver)
            patch = self.patch(splice, "_BUFFER", None)
            sender.say(1000)
            await self.until_lost(sender, receiver)
            patch.restore()
            self.assertTrue(sender.broken and receiver.broken)
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
            good[0].say(1000)
            await self.got(good[1])


class CopiedTests(BreakChecks, RelaySocketsTestCase):
    """They are copied."""

    spliced = False


class TappedTests(BreakChecks, RelaySocketsTestCase):
    """Somebody looks into them."""

    spliced, tapped = False, True
