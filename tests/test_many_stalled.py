"""
Many relayed pairs of which one side does not read, and what the server holds for them.
"""

from __future__ import annotations

from hashlib import sha256

from rdv.client.connection import Connection
from tests import test_many
from tests.processes import Program
from tests.servers import MEGABYTE, noise

PAIRS = 20
#: What each has to send: more than the kernel's buffers on the way take.
FLOOD = 32 * MEGABYTE


class SplicedTests(test_many.StalledReaderTests):
    """Plain TCP, whose bytes stay in the kernel."""

    #: KiB by which the server may grow for all of them: far less than a buffer for each.
    growth = 1024

    async def start(self, *options: str) -> Program:
        """Start the server."""
        return await self.serve(*options)

    async def test_stalled_reader(self) -> None:
        """
        One of each pair writes all it has, the other one does not read before the server had time
        for it. The server does not grow, and nothing is lost.
        """
        server = await self.start()
        # What it needs once: its code, its buffers.
        await self.turns()
        await self.flood(False, server)
        pairs = [await self.pair(f"flood {number}") for number in range(PAIRS)]
        before = self.memory(server)
        content = noise(5, FLOOD)
        senders: list[test_many.Exchange] = []
        readers: list[Connection] = []
        for dialer, acceptor in pairs:
            # The dialers of one half, and the acceptors of the other.
            first, second = (dialer, acceptor) if len(senders) % 2 else (acceptor, dialer)
            senders.append(test_many.Exchange(content))
            readers.append(second)
            first.attach(senders[-1])
        await self.turns()
        self.assertLess(self.memory(server) - before, self.growth)
        wanted = sha256(content).digest()
        for reader, sender in zip(readers, senders, strict=True):
            exchange = test_many.Exchange(b"")
            reader.attach(exchange)
            self.assertEqual(sha256(await exchange.received).digest(), wanted)
            await sender.received


class CopiedTests(SplicedTests):
    """TLS, whose bytes are copied."""

    #: A buffer of 64 KiB for each, one that has been read, and what TLS makes of them.
    growth = PAIRS * 512

    async def start(self, *options: str) -> Program:
        return await self.serve_tls(*options)
