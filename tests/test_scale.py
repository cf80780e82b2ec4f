"""
A server with many waiting and many relayed clients at the same time.
"""

from __future__ import annotations

import resource

from twisted.internet.defer import Deferred, gatherResults

from tests.callers import Caller, call_all, join
from tests.servers import SystemTestCase

WAITING, PAIRS = 1000, 100
#: How many connect at once.
BATCH = 100


class ScaleTests(SystemTestCase):
    timeout = 240

    def setUp(self) -> None:
        self.allow_files(2 * BATCH + WAITING + 2 * PAIRS + 100)

    def allow_files(self, number: int) -> None:
        """As many descriptors for the clients, which are in this process."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < number:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    async def call_batches(self, role: str, tokens: list[str]) -> list[Caller]:
        callers: list[Caller] = []
        for start in range(0, len(tokens), BATCH):
            callers += await call_all(self.port, role, tokens[start : start + BATCH])
        return callers

    async def check_pairs(self, pairs: list[tuple[Caller, Caller]]) -> None:
        """Each of them hears what its peer says, and nothing else."""
        for order in (0, 1):
            heard: list[Deferred[bytes]] = []
            said: list[bytes] = []
            for number, pair in enumerate(pairs):
                source, sink = pair[order], pair[1 - order]
                said.append(b"%d of %d\n" % (number, order))
                heard.append(sink.hear(said[-1]))
                source.write(said[-1])
            self.assertEqual(await gatherResults(heard), said)

    async def test_all_at_the_same_time(self) -> None:
        """Nobody is lost, nobody is disturbed by the others, nothing goes wrong."""
        server = await self.serve("--lobby-timeout", "0", "--no-limits")
        pairs = [await join(self.port, f"pair {number}") for number in range(PAIRS)]
        tokens = [f"token {number}" for number in range(WAITING)]
        acceptors = await self.call_batches("ACCEPT", tokens)
        await self.check_pairs(pairs)
        # The last ones first: clients that have waited longer are not in their way.
        acceptors.reverse()
        for start in range(0, WAITING, BATCH):
            met = acceptors[start : start + BATCH]
            met += await call_all(self.port, "DIAL", [caller.token.decode() for caller in met])
            for head in await gatherResults([caller.head() for caller in met]):
                self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
            await gatherResults([caller.leave() for caller in met])
        await self.check_pairs(pairs)
        await gatherResults([caller.leave() for pair in pairs for caller in pair])
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        said = server.stderr.decode()
        self.assertNotIn("Traceback", said)
        for event, number in (
            ("] waiting: acceptor ", WAITING + PAIRS),
            ("] matched: ", WAITING + PAIRS),
            ("] abandoned: ", WAITING),
            ("] relayed: ", PAIRS),
            ("] refused: ", 0),
            ("] failed: ", 0),
        ):
            self.assertEqual(said.count(event), number, event)
