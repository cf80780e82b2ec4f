"""
A server whose descriptors run out, and how it raises its limit.
"""

from __future__ import annotations

import os
import re
import resource

from twisted.internet.defer import DeferredList, gatherResults

from rdv.wire import RETRY_AFTER
from tests.callers import Caller, call, first_gone, join, silent
from tests.processes import PYTHON, ROOT, Program
from tests.servers import LISTENING, TWIST, SystemTestCase

#: The limit of a server, and how many clients may wait: three quarters of what is not reserved.
LIMIT, ROOM = 200, 102


def open_files(program: Program) -> int:
    return len(os.listdir(f"/proc/{program.transport.pid}/fd"))


class LimitedTestCase(SystemTestCase):
    """Servers with few descriptors."""

    def limited(self, limit: str, *argv: str) -> Program:
        """Start a program with a limit, in the words of the shell."""
        environment = {"PYTHONPATH": str(ROOT)}
        script = f'ulimit {limit} && exec "$0" "$@"'
        return Program(self, "/bin/sh", "-c", script, *argv, env=environment)

    async def serve_within(self, limit: str, *options: str) -> Program:
        """``rdv serve``, which tells what happens."""
        serve = (
            PYTHON,
            "-m",
            "rdv",
            "serve",
            "-v",
            "-l",
            "127.0.0.1:0",
            "--lobby-timeout",
            "0",
            "--no-limits",
        )
        server = self.limited(limit, *serve, *options)
        self.port = int((await server.line(LISTENING))[1])
        return server

    async def assert_meet(self, waiting: Caller) -> None:
        """Its partner comes, and they go."""
        partner = await call(self.port, "DIAL", waiting.token.decode())
        for caller in (partner, waiting):
            head = await caller.head()
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        await gatherResults([partner.leave(), waiting.leave()])

    async def assert_stops(self, server: Program) -> str:
        """It ends well, and had nothing unexpected to say; what it said."""
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        said = server.stderr.decode()
        self.assertNotIn("Traceback", said)
        return said


class FullTests(LimitedTestCase):
    timeout = 120

    async def test_clear_refusal(self) -> None:
        """
        Of 400, those who fit wait. Each of the others is told that it does not, and when
        to come again. Those who wait are found by their partners, as full as the server is, and
        afterwards there is room again.
        """
        server = await self.serve_within(f"-n {LIMIT}")
        callers = [await call(self.port, "ACCEPT", f"token {n}") for n in range(400)]
        await first_gone(callers, len(callers) - ROOM)
        refused = [caller for caller in callers if caller.lost]
        self.assertEqual(len(refused), len(callers) - ROOM)
        for caller in refused:
            await self.assert_refused(caller)
        for caller in callers:
            if caller not in refused:
                await self.assert_meet(caller)
        for token in ("one", "another"):
            await self.assert_meet(await call(self.port, "ACCEPT", token))
        said = await self.assert_stops(server)
        self.assertIn(f"too few descriptors, refusing clients: {LIMIT} open files", said)
        self.assertNotIn("EMFILE", said)

    async def assert_refused(self, caller: Caller, *bodies: bytes) -> None:
        """
        It was told why, and when to come again.

        :param bodies: what it may be told, too.
        """
        head, _, body = (await caller.gone()).partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"), head)
        self.assertIn(f"\r\nRetry-After: {RETRY_AFTER}\r\n".encode(), head)
        self.assertIn(body, (b"no room for more clients, try again later\n", *bodies))

    async def test_workers(self) -> None:
        """
        The same with two processes, where a client that one of them has no room for may come from
        the other one, which has.
        """
        server = await self.serve_within(f"-n {LIMIT}", "--workers", "2")
        callers = [await call(self.port, "ACCEPT", f"token {n}") for n in range(400)]
        await first_gone(callers, len(callers) - 2 * ROOM)
        met = 0
        for caller in callers:
            if not caller.lost:  # and it may still be lost
                partner = await call(self.port, "DIAL", caller.token.decode())
                fates = [partner.head(), caller.gone()]
                _, fate = await DeferredList(fates, fireOnOneCallback=True, consumeErrors=True)
                met += fate == 0
                await gatherResults([partner.leave(), caller.leave()])
        self.assertGreater(met, ROOM // 2)
        for caller in callers:
            if caller.data.startswith(b"HTTP/1.1 503"):
                await self.assert_refused(caller, b"the server is busy, try again\n")
        for token in ("one", "another"):
            await self.assert_meet(await call(self.port, "ACCEPT", token))
        said = await self.assert_stops(server)
        for index in range(2):
            self.assertRegex(said, rf"worker {index}, .* too few descriptors, refusing clients: ")

    async def test_silent_clients(self) -> None:
        """
        Clients that ask for nothing take what there is. The server goes on for those it has, and
        drops some that are silent for further ones.
        """
        server = await self.serve_within(f"-n {LIMIT}")
        pair = await join(self.port, "a token")
        callers = await gatherResults([silent(self.port) for _ in range(2 * LIMIT)])
        for source, sink in (pair, pair[::-1]):
            heard = sink.hear(b"still there\n")
            source.write(b"still there\n")
            await heard
        self.assertLess(open_files(server), LIMIT)
        await gatherResults([caller.leave() for caller in callers])
        await self.assert_meet(await call(self.port, "ACCEPT", "another token"))
        await gatherResults([caller.leave() for caller in pair])
        said = await self.assert_stops(server)
        self.assertIn(
            f"too few descriptors, dropping connections without a request: {LIMIT} open files", said
        )
        self.assertNotIn("EMFILE", said)


class RaisedTests(LimitedTestCase):
    """The programs raise their limit as far as they can."""

    async def assert_raised(self, server: Program) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if os.environ.get("RDV_TEST_REACTOR") == "select":
            hard = 1024  # it can watch no more
        await server.line(f"up to {hard} open files")
        with open(f"/proc/{server.transport.pid}/limits") as file:
            found = re.search(r"^Max open files +(\d+)", file.read(), re.MULTILINE)
        assert found is not None
        self.assertEqual(int(found[1]), hard)

    async def test_serve(self) -> None:
        await self.assert_raised(await self.serve_within("-S -n 100"))

    async def test_twist(self) -> None:
        twist = (TWIST, "--log-format", "text", "rdv", "--port", "tcp:0:interface=127.0.0.1")
        await self.assert_raised(self.limited("-S -n 100", *twist))
