"""
Bytes through a relay on loopback, in each way that a relay has to move them.

``tests/test_reactors.py`` runs this under every reactor.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import Any

from rdv._flows.kernel import splice
from rdv._flows.kernel.pipes import Pipes
from rdv._flows.kernel.takeover import Splicer
from rdv.server import Outcome
from rdv.test.server.loopback import MEBI, REACTOR, SMALL, RelaySocketsTestCase, Talker

#: Around what a buffer and a pipe hold, and small ones before and behind large ones.
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

    async def test_byte_by_byte(self: Any) -> None:
        """While the other direction is at full speed."""
        dialer, acceptor = await self.relayed()
        dialer.say(4 * MEBI)
        for _ in range(100):
            acceptor.say(1)
            await self.got(dialer)
        await self.got(acceptor)

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

    async def test_both_end_at_once(self: Any) -> None:
        dialer, acceptor = await self.relayed()
        for talker in (dialer, acceptor):
            talker.say(MEBI)
            talker.end()
        await self.until_ended(dialer, acceptor)
        await self.got(dialer, acceptor)
        await self.assert_over(self.pairs)

    async def test_only_ends(self: Any) -> None:
        """Pairs that have nothing to say."""
        async for first, second in self.either_way():
            first.end()
            await self.until_ended(second)
            second.end()
            await self.until_ended(first)
        await self.assert_over(self.pairs)

    async def test_all_in_one(self: Any) -> None:
        """A dialer that sends its line, some bytes and its end in one segment."""
        dialer, acceptor = await self.met()
        acceptor.say(10, line=True)
        await self.got(dialer)
        dialer.say(1000, line=True)
        dialer.end()
        await self.until_ended(acceptor)
        await self.got(acceptor)
        acceptor.say(2 * MEBI)
        acceptor.end()
        await self.until_ended(dialer)
        await self.got(dialer)
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

    async def test_receiver_stalls(self: Any) -> None:
        """Its sender is stopped, and the other direction is free."""
        async for sender, receiver in self.either_way(SMALL):
            receiver.transport.pauseProducing()
            sender.say(4 * MEBI)
            receiver.say(MEBI)
            await self.got(sender)
            self.assertLess(self.moved(sender), 2 * MEBI)
            receiver.transport.resumeProducing()
            await self.got(receiver)
        self.assert_path()

    async def test_both_stall(self: Any) -> None:
        """Both send, neither reads, and nothing is lost."""
        async for first, second in self.either_way(SMALL):
            for talker in (first, second):
                talker.transport.pauseProducing()
                talker.say(MEBI)
            await self.turns()
            for talker in (second, first):
                talker.transport.resumeProducing()
            await self.got(first, second)
            for talker in (first, second):
                talker.end()
            await self.until_ended(first, second)
        self.assert_path()
        await self.assert_over(self.pairs)

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

    async def test_sender_has_long_gone(self: Any) -> None:
        """A slow reader gets everything, and the end."""
        async for sender, receiver in self.either_way(SMALL):
            receiver.transport.pauseProducing()
            sender.say(MEBI)
            sender.transport.loseConnection()
            await self.turns()
            receiver.transport.resumeProducing()
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


class BatchedTests(BytesChecks, RelaySocketsTestCase):
    """By the kernel, which waits for more bytes, as it does in a long run."""

    if sys.platform != "linux":
        skip = "only Linux has splice"

    async def setUp(self) -> None:  # type: ignore[override]
        self.patch(splice, "_LONG_RUN", 1)
        await super().setUp()


class CopiedTests(BytesChecks, RelaySocketsTestCase):
    """As on a system that has no splice."""

    spliced = False


class TappedTests(BytesChecks, RelaySocketsTestCase):
    """Somebody looks into them."""

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
