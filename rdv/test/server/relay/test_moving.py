"""
Bytes through a relay on loopback, in each way that a relay has to move them.

``tests/test_reactors.py`` runs this under every reactor.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from rdv._flows.kernel import splice
from rdv._flows.kernel.pipes import Pipes
from rdv._flows.kernel.takeover import Splicer
from rdv.server import Outcome
from rdv.test.server.loopback import MEBI, SMALL, RelaySocketsTestCase, Talker
from rdv.test.sockets import REACTOR

#: About as large as a buffer and a pipe, and small ones before and after large ones.
SIZES = (1, 1000, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1, MEBI // 4 + 1, *[1] * 12, MEBI + 1, 2)


def no_descriptor(*args: object) -> None:
    """There is none left."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class BytesChecks:
    """What all ways have in common."""

    async def test_both_ways_at_once(self: Any) -> None:
        """Every byte, in its order, and counted."""
        dialer, acceptor = await self.relayed()
        dialer.say(3 * MEBI)
        acceptor.say(2 * MEBI)
        await self.got(dialer, acceptor)
        (pair,) = self.pairs
        self.assertEqual((pair.dialer_bytes, pair.acceptor_bytes), (dialer.sent, acceptor.sent))
        self.assert_path()

    async def test_turn_by_turn(self: Any) -> None:
        """Questions and answers of any size: small ones between large ones, and back again."""
        dialer, acceptor = await self.relayed()
        for size in SIZES:
            for sender, receiver in ((dialer, acceptor), (acceptor, dialer)):
                sender.say(size)
                await self.got(receiver)
        (pair,) = self.pairs
        self.assertEqual((pair.dialer_bytes, pair.acceptor_bytes), (dialer.sent, acceptor.sent))
        self.assert_path()

    async def test_half_close(self: Any) -> None:
        """The end of one direction is just that, behind all its bytes; the other goes on."""
        async for first, second in self.either_way():
            first.say(2 * MEBI)
            first.end()
            second.say(100_000)
            await self.until_ended(second)
            await self.got(second)
            second.say(2 * MEBI)
            await self.got(first)
            self.assertFalse(first.ended or first.lost or second.lost)
            second.say(100)
            second.end()
            await self.until_ended(first)
            await self.got(first)
        self.assert_path()
        await self.assert_over(self.pairs)

    async def test_acceptor_does_not_wait(self: Any) -> None:
        """It sends much before it has got CONFIRM, to one that does not read before it either."""
        dialer, acceptor = await self.met(SMALL)
        dialer.transport.pauseProducing()
        acceptor.say(MEBI, line=True)
        await self.turns()
        dialer.say(MEBI, line=True)
        await self.got(acceptor)
        dialer.transport.resumeProducing()
        await self.got(dialer)

    async def test_stutters(self: Any) -> None:
        """One that reads a little now and then."""
        async for sender, receiver in self.either_way(SMALL):
            sender.say(MEBI)
            sender.end()
            while receiver.received < sender.sent:
                receiver.transport.pauseProducing()
                await self.turns(5)
                receiver.transport.resumeProducing()
                wanted = min(receiver.received + 50_000, sender.sent)
                await self.until_heard(wanted, receiver)
            await self.until_ended(receiver)
            await self.got(receiver)
        self.assert_path()

    async def test_many_pairs(self: Any) -> None:
        """Each gets its own bytes."""
        both = [await self.relayed() for _ in range(8)]
        talkers: list[Talker] = [talker for pair in both for talker in pair]
        for index, talker in enumerate(talkers):
            talker.say(200_000 + index)
        await self.got(*talkers)
        for talker in talkers:
            talker.end()
        await self.until_ended(*talkers)
        self.assert_path()
        await self.assert_over(self.pairs)

    async def test_reset_of_one_who_was_stopped(self: Any) -> None:
        """The same, from the other side: what it has sent is not complete."""
        async for sender, receiver in self.either_way(SMALL):
            await self.stall(sender, receiver)
            sender.reset()
            await self.assert_broken(receiver)
            self.assertFalse(receiver.ended)

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

    async def test_abort_all(self: Any) -> None:
        """While everything on the way is full."""
        sender, receiver = await self.relayed(SMALL)
        await self.stall(sender, receiver)
        self.rendezvous.abort()
        await self.assert_broken(sender, receiver)
        self.assertFalse(sender.ended or receiver.ended)

    async def assert_broken(self: Any, *talkers: Talker) -> None:
        """These see a break. What they have got is the beginning of what was sent."""
        for talker in talkers:
            if not (talker.ended or talker.lost):
                talker.transport.resumeProducing()
        for talker in talkers:
            while talker.ended and not talker.lost:
                # It does not read any more, but notices when it writes.
                talker.say(1)
                await self.turn()
        await self.until_lost(*talkers)
        for talker in talkers:
            self.assertTrue(talker.broken, talker.lost)
        self.assert_right(*talkers)
        for pair in self.pairs:
            await pair.when_ended()
            self.assertIs(pair.outcome, Outcome.RELAYED)

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

    async def assert_over(self: Any, pairs: list[Any]) -> None:
        """These have come to a good end, at which the clients close."""
        for talker in self.talkers:
            if talker.lost is None:
                talker.transport.loseConnection()
        for pair in pairs:
            await pair.when_ended()
            self.assertIs(pair.outcome, Outcome.RELAYED)
        await self.until_lost(*self.talkers)
        self.assertFalse(any(talker.broken for talker in self.talkers))
        self.assertEqual(self.rendezvous.pairs, 0)


class SplicedTests(BytesChecks, RelaySocketsTestCase):
    """By the kernel."""

    if sys.platform != "linux":
        skip = "only Linux has splice"

    async def test_no_pipes(self) -> None:
        """Then bytes in bulk are copied, but by the kernel's flows, still."""
        self.splicer.pipes = Pipes(limit=0)
        await self.test_both_ways_at_once()

    async def test_no_descriptor_for_a_pipe(self) -> None:
        self.patch(os, "pipe2", no_descriptor)
        await self.test_both_ways_at_once()

    async def test_full_pipes(self) -> None:
        """They are full in those tests in which everything is."""
        async for sender, receiver in self.either_way(SMALL):
            await self.stall(sender, receiver)
            await self.until_turn(lambda: self.splicer.pipes.taken)
            receiver.reset()
            await self.assert_broken(sender)
            self.assertEqual(self.splicer.pipes.taken, 0)

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


class BatchedTests(BytesChecks, RelaySocketsTestCase):
    """By the kernel, with batched sockets, as in a long run."""

    if sys.platform != "linux":
        skip = "only Linux has splice"

    async def setUp(self) -> None:  # type: ignore[override]
        self.patch(splice, "_LONG_RUN", 1)
        await super().setUp()


class CopiedTests(BytesChecks, RelaySocketsTestCase):
    """By copying, as on a system without splice."""

    spliced = False


class TappedTests(BytesChecks, RelaySocketsTestCase):
    """A tap inspects the bytes."""

    spliced, tapped = False, True


class SecureTests(BytesChecks, RelaySocketsTestCase):
    """Over TLS."""

    spliced, secure = False, True


class UnwatchedTests(RelaySocketsTestCase):
    """There is no descriptor for an epoll: they are copied."""

    spliced, tapped = False, False

    async def test_both_ways_at_once(self) -> None:
        """As if there were no splice."""
        self.rendezvous.splicer = Splicer.for_reactor(REACTOR)
        self.patch(select, "epoll", no_descriptor)
        await BytesChecks.test_both_ways_at_once(self)
