"""
Programs whose wall clock is set while they run: their timeouts do not follow it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.processes import PYTHON, Program, together
from tests.servers import RELAYED, SystemTestCase
from tests.wall_clock import WallClock

HOURS = 7200.0
#: No limit of the test's own, and less than the step.
LONG = "600"


class ClockTestCase(SystemTestCase):
    """A wall clock, and what relayed clients do."""

    timeout = 240

    def setUp(self) -> None:
        self.clock = WallClock(self)

    async def check_bytes(self, dialer: Program, acceptor: Program, text: bytes) -> None:
        """What one writes, the other has, and the other way round."""
        sizes = len(dialer.stdout) + len(text), len(acceptor.stdout) + len(text)
        dialer.write(text)
        acceptor.write(text)
        for program, size in zip((dialer, acceptor), sizes, strict=True):
            self.assertEqual((await program.received(size))[-len(text) :], text)

    async def check_end(self, dialer: Program, acceptor: Program) -> None:
        """Both ends in good order."""
        for program in (dialer, acceptor):
            program.close_stdin()
        for program in (dialer, acceptor):
            self.assertEqual(await program.ended, 0, program.report())


class CommandTests(ClockTestCase):
    """The commands, with a server whose clock is right."""

    async def test_dialer(self) -> None:
        """Set back, its timeout ends it all the same; set forward, it goes on waiting."""
        server = await self.serve()
        with self.clock.seen():
            dialer = self.dial(*RELAYED, "--timeout", "3")
        await server.line("waiting: dialer")
        self.clock.step(-HOURS)
        await self.assert_ended(dialer, 1, "no connection within 3 s: no peer arrived at .*")
        with self.clock.seen():
            dialer = self.dial(*RELAYED, "--timeout", LONG, token="another token")
        await server.line("waiting: dialer anot")
        self.clock.step(HOURS)
        acceptor = self.accept(*RELAYED, token="another token")
        await self.connected("relay", dialer, acceptor)
        await self.check_bytes(dialer, acceptor, b"hello")
        await self.check_end(dialer, acceptor)


class EmbeddedTests(ClockTestCase):
    """Server and client in another program, under each reactor."""

    async def check_program(self, reactor: str, mode: str) -> None:
        clock = WallClock(self)
        with clock.seen():
            program = Program(self, PYTHON, "-m", "tests.embedded", reactor, mode)
        await program.line("waiting")
        clock.step(HOURS)
        program.write(b"\n")
        await program.line("connected")
        clock.step(HOURS)
        program.write(b"\n")
        await program.line("echoed")
        clock.step(-2 * HOURS)
        self.assertEqual(await program.ended, 0, program.report())
        self.assertIn(b"no connection within 1 s", program.stdout)

    async def test_programs(self) -> None:
        reactors = ("epoll", "poll", "select", "asyncio")
        await together(
            *(self.check_program(reactor, "embedded") for reactor in reactors),
            *(self.check_program(reactor, "own") for reactor in ("epoll", "asyncio")),
        )


class ServerTests(ClockTestCase):
    """The server, with clients whose clock is right."""

    LIMITS = ("--lobby-timeout", LONG, "--idle-timeout", LONG, "--handshake-timeout", LONG)

    async def check_server(self, start: Callable[..., Awaitable[Program]], *options: str) -> None:
        """Those who wait go on waiting, and a relay that is used is not idle."""
        with self.clock.seen():
            server = await start(*self.LIMITS, *options)
        waiting = self.accept(*RELAYED, token="other token")
        await server.line("waiting: acceptor")
        acceptor, dialer = self.accept(*RELAYED), self.dial(*RELAYED)
        await self.connected("relay", dialer, acceptor)
        await self.check_bytes(dialer, acceptor, b"before")
        self.clock.step(HOURS)
        await self.ask(b"GET / HTTP/1.0\r\n\r\n")  # it looks at its clock
        await self.check_bytes(dialer, acceptor, b"after")
        partner = self.dial(*RELAYED, token="other token")
        await self.connected("relay", partner, waiting)
        for pair in ((dialer, acceptor), (partner, waiting)):
            await self.check_end(*pair)
        self.assertEqual((server.stderr + server.stdout).count(b"waiting: acceptor othe"), 1)

    async def test_servers(self) -> None:
        await self.check_server(self.serve)
        await self.check_server(self.serve, "--workers", "2")
        await self.check_server(self.twist)
