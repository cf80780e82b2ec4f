"""
Attackers from other addresses take all the descriptors of a server, and clients still meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from twisted.internet.defer import DeferredList, gatherResults

from rdv.test.certificates import Authority
from tests.callers import call, join
from tests.processes import PYTHON, Program
from tests.test_descriptors import LimitedTestCase, open_files

#: The limit of the server, and how many connections an attacker has: more.
LIMIT, MANY = 300, 450
PAIRS = 10


class ScarcityTests(LimitedTestCase):
    timeout = 60

    async def attack(self, kind: str, *hosts: str, server: Sequence[str] = ()) -> Program:
        """
        Begin, and let all of them have come.

        :param server: options that say where to.
        """
        options = ("--port", str(self.port), *server, "--kind", kind, "--count", str(MANY))
        attackers = Program(self, PYTHON, "-m", "tests.attackers", *options, *hosts)
        await attackers.line("READY")
        return attackers

    async def meet_at_last(self, name: str) -> None:
        """
        A pair gets in, perhaps not at once: while a flood is coming, there may be no descriptor for
        a moment, and who is told to come again does so.
        """
        for attempt in count():
            token = f"{name}, {attempt}"
            pair = [await call(self.port, role, token) for role in ("ACCEPT", "DIAL")]
            heads = DeferredList([each.head() for each in pair], True, consumeErrors=True)
            head, _ = await heads
            await gatherResults([each.leave() for each in pair])
            if head.startswith(b"HTTP/1.1 101 "):
                return
            self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)

    async def assert_harmless(self, kind: str, *hosts: str, options: Sequence[str] = ()) -> str:
        """
        Pairs meet one after the other, and one goes on that was there before. What the server has
        said.
        """
        server = await self.serve_within(f"-n {LIMIT}", *options)
        old = await join(self.port, "an old pair")
        attackers = await self.attack(kind, *hosts)
        await server.line("too few descriptors")
        for number in range(PAIRS):
            await self.meet_at_last(f"honest {number}")
        heard = old[1].hear(b"still there\n")
        old[0].write(b"still there\n")
        await heard
        self.assertLess(open_files(server), LIMIT)
        attackers.close_stdin()
        self.assertEqual(await attackers.ended, 0, attackers.report())
        await gatherResults([caller.leave() for caller in old])
        return await self.assert_stops(server)

    async def assert_dropped(self, kind: str, *hosts: str) -> None:
        """It is because those of the attacker are dropped."""
        said = await self.assert_harmless(kind, *hosts)
        dropping = "too few descriptors, dropping connections without a request" in said
        self.assertEqual((dropping, "EMFILE" in said), (True, False))

    async def test_silent(self) -> None:
        await self.assert_dropped("silent", "127.0.0.9")

    async def test_trickle(self) -> None:
        await self.assert_dropped("trickle", "127.0.0.9")

    async def test_several_addresses(self) -> None:
        """From each there are few."""
        await self.assert_dropped("trickle", *(f"127.0.1.{n}" for n in range(1, 101)))

    async def test_body(self) -> None:
        await self.assert_dropped("body", "127.0.0.9")

    async def test_nonsense(self) -> None:
        """Those who have been refused, and do not close."""
        await self.assert_dropped("nonsense", "127.0.0.9")

    async def test_replaced(self) -> None:
        """Those whose place in the lobby has been taken."""
        await self.assert_dropped("replaced", "127.0.0.9")

    async def test_tls(self) -> None:
        """Those who begin no handshake, at a port with TLS."""
        pem = self.file_of(Authority().issue("127.0.0.2"))
        tls = f"ssl:0:interface=127.0.0.2:backlog=512:privateKey={pem}:certKey={pem}"
        server = await self.serve_within(f"-n {LIMIT}", "-l", tls)
        port = (await server.line(r"^LISTENING: 127\.0\.0\.2:(\d+)"))[1]
        await self.attack("silent", "127.0.0.9", server=("--server", "127.0.0.2", "--port", port))
        await server.line("too few descriptors, dropping connections without a request")
        for number in range(PAIRS):
            await self.meet_at_last(f"honest {number}")
        await self.assert_stops(server)

    async def test_waiting(self) -> None:
        """
        Real clients to whom nobody comes get three quarters of what there is. Whoever waits is
        found, and one of theirs gives way to whoever comes then from elsewhere.
        """
        server = await self.serve_within(f"-n {LIMIT}")
        waiting = [await call(self.port, "ACCEPT", f"honest {n}") for n in range(PAIRS)]
        await self.attack("waiting", "127.0.0.9")
        await server.line("too few descriptors, refusing clients")
        for caller in waiting:
            await self.assert_meet(caller)
        for number in range(PAIRS):
            await self.assert_meet(await call(self.port, "ACCEPT", f"late {number}"))
        await self.assert_stops(server)

    async def test_workers(self) -> None:
        await self.assert_harmless("trickle", "127.0.0.9", options=("--workers", "2"))
