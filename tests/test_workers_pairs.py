"""
Servers of several processes: their pairs.
"""

from __future__ import annotations

import re

from twisted.internet.error import ConnectionDone

from rdv.test.doubles import HalfWire, present
from rdv.test.server.workers.doubles import token_of
from rdv.test.transport.doubles import PROXY_HEADER
from tests import test_many
from tests.servers import MEGABYTE, noise
from tests.workers import WORKERS, WorkersTestCase


class PairsTests(test_many.CrossTalkTests):
    """Pairs whose clients arrive in any order, at whichever worker is free."""

    async def test_pairs(self) -> None:
        """Direct and relayed ones, each with its own bytes; all descriptors come back."""
        server = await self.serve("--workers", str(WORKERS), "--no-limits")
        pids = [
            server.transport.pid,
            *re.findall(r"serves as process (\d+)", server.stderr.decode()),
        ]
        await self.check(0, 12, server)  # once, for what is opened once
        before = [self.descriptors(pid) for pid in pids]
        await self.check(1, 100, server)
        self.assertEqual([self.descriptors(pid) for pid in pids], before)
        self.assertNotIn(b"Traceback", server.stderr)
        for index in range(WORKERS):  # each worker got some
            matched = rf"\[worker {index}, rdv\.server\.rendezvous#debug\] matched"
            self.assertRegex(server.stderr.decode(), matched)
        self.assertIn(b"passed on: ", server.stderr)


class TLSTests(test_many.CrossTalkTests):
    """Clients with TLS, at workers that do not own their tokens."""

    async def test_pairs(self) -> None:
        """Each gets its own bytes, to the end of each direction."""
        server = await self.serve_tls("--workers", "2")
        await self.check(1, 30, server)
        self.assertIn(b"passed on: ", server.stderr)
        self.assertNotIn(b"Traceback", server.stderr)

    async def test_drain(self) -> None:
        """Streams that go through a worker that does not relay them may end, too."""
        server = await self.serve_tls("--workers", "2", "--drain", "600")
        tokens = [token_of(number % 2, 2, f"{number}").decode() for number in range(6)]
        pairs = [await self.pair(token) for token in tokens]
        self.assertIn(b"passed on: ", server.stderr)
        server.signal("TERM")
        for index in range(2):
            await server.line(rf"\[worker {index}, .*told to stop: ")
        words = noise(1, MEGABYTE)
        for pair in pairs:
            one, other = (
                test_many.speak(connection, said)
                for connection, said in zip(pair, (words, words[::-1]), strict=True)
            )
            self.assertEqual(await one.gone(), words[::-1])
            self.assertEqual(await other.gone(), words)
        self.assertEqual(await server.ended, 0, server.report())

    async def test_loss(self) -> None:
        """A stream that breaks does not look complete, however many processes it goes through."""
        await self.serve_tls("--workers", "2")
        for number in range(6):
            token = token_of(number % 2, 2, f"{number}").decode()
            dialer, acceptor = await self.pair(token)
            wire = HalfWire()
            acceptor.attach(wire)
            breaking = HalfWire()
            dialer.attach(breaking)
            breaking.write(b"some of it")
            await wire.until(b"some of it")
            dialer.abortConnection()
            await wire.lost()
            self.assertIsNone(present(wire.reason).check(ConnectionDone))
            self.assertEqual(wire.read_ended, 0)


class ProxyTests(WorkersTestCase):
    """Clients behind a proxy that reports their addresses."""

    preamble = PROXY_HEADER

    async def test_observed(self) -> None:
        """Whoever has read the header, each is told the address that was in it."""
        await self.serve_with_workers(listen="haproxy:tcp:0:interface=127.0.0.1")
        for index in range(WORKERS):
            pair = await self.relayed(token_of(index, WORKERS))
            await self.exchange(pair, b"words")
            for wire in pair:
                self.assertIn(b"Rdv-Observed-Addr: 192.0.2.7:7777\r\n", wire.data)


class TwistTests(WorkersTestCase):
    async def test_serves(self) -> None:
        """Its workers log where it does."""
        server = await self.twist("--workers", "2")
        self.server = server
        await self.exchange(await self.relayed(token_of(1)), b"words")
        await server.line(r"\[worker 1, rdv\.server\.rendezvous#debug\] matched")
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
