"""
``rdv expose`` and ``rdv connect`` that are killed in the middle of a stream, and others with them:
what was cut must never look like an end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from tests.forwarding import ForwardingTestCase, Talker
from tests.processes import Program
from tests.servers import DIRECT, MEGABYTE, RELAYED, noise


class BreakTestCase(ForwardingTestCase):
    """A forward in the middle of its life."""

    exposing: Program
    connecting: Program
    local: Talker
    visitor: Talker

    async def begin(self, *options: str) -> None:
        """Let a megabyte pass each way, and one end sends on without being read."""
        await self.target()
        self.exposing = await self.expose(*options)
        self.connecting = await self.connect(*options)
        self.local, self.visitor = await self.forward()
        there, back = noise(1, MEGABYTE), noise(2, MEGABYTE)
        self.local.write(there)
        self.visitor.write(back)
        self.assertEqual(await self.visitor.received(len(there)), there)
        self.assertEqual(await self.local.received(len(back)), back)

    async def assert_both_reset(self) -> None:
        """Neither takes it for an end."""
        for talker in (self.local, self.visitor):
            await talker.gone()
            self.assertTrue(talker.is_reset, talker.lost)


class KillTests(BreakTestCase):
    """Without a chance to say anything. For the two commands see :mod:`tests.test_faults`."""

    async def test_server_relayed(self) -> None:
        """The relay itself; who exposes says so once, and goes on."""
        server = await self.serve()
        await self.begin(*RELAYED)
        server.signal("KILL")
        await self.assert_both_reset()
        await self.exposing.line("^TROUBLE: ")
        self.assertIsNone(self.exposing.exit_code)
        self.assertIsNone(self.connecting.exit_code)


class LossTests(BreakTestCase):
    """The programs at both ends."""

    async def check(self, victim: Callable[[], Talker], *options: str) -> None:
        """One resets its connection; the other one sees a reset, and the next forward is well."""
        await self.serve()
        await self.begin(*options)
        victim().transport.abortConnection()
        await self.assert_both_reset()
        await self.check_both_ways(*await self.forward(), b"new", b"one")

    async def test_local(self) -> None:
        """The local program."""
        await self.check(lambda: self.local, *DIRECT)

    async def test_target(self) -> None:
        """The target."""
        await self.check(lambda: self.visitor, *DIRECT)

    async def test_local_relayed(self) -> None:
        """Through the relay."""
        await self.check(lambda: self.local, *RELAYED)

    async def test_target_relayed(self) -> None:
        """Through the relay."""
        await self.check(lambda: self.visitor, *RELAYED)


class SignalTests(BreakTestCase):
    """SIGINT and SIGTERM end the command; what was under way is reset, not ended."""

    async def check(self, name: str, status: int, victim: Callable[[], Program]) -> None:
        """One is told to end."""
        await self.serve()
        await self.begin(*DIRECT)
        victim().signal(name)
        await self.assert_both_reset()
        self.assertEqual(await victim().ended, status, victim().report())
        self.assertNotIn(b"Traceback", victim().stderr)

    async def test_interrupt_exposing(self) -> None:
        """^C."""
        await self.check("INT", 130, lambda: self.exposing)

    async def test_while_waiting(self) -> None:
        """Nobody is here, or waits for a peer."""
        server = await self.serve()
        await self.target()
        connecting = await self.connect()
        local = await self.visit()
        await server.line("waiting: dialer")
        connecting.signal("TERM")
        await local.gone()
        self.assertTrue(local.is_reset)
        await server.line("left: dialer")
        self.assertEqual(await connecting.ended, 143, connecting.report())
        exposing = await self.expose()
        exposing.signal("INT")
        await server.line("left: acceptor")
        self.assertEqual(await exposing.ended, 130, exposing.report())


class UnreadTests(BreakTestCase):
    """Somebody has started the command with a pipe for its stderr, and does not read it."""

    def full_pipe(self) -> int:
        """Where one writes to it."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.close, write_end)
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write_end, b"x" * 4096)
        os.set_blocking(write_end, True)
        return write_end

    async def test_full(self) -> None:
        """What it has to say is skipped; it forwards, and ends when it is told to."""
        server = await self.serve()
        await self.target()
        arguments = ("expose", "-v", *DIRECT, self.url, "a token", self.where)
        exposing = self.rdv(*arguments, stderr=self.full_pipe())
        await server.line("waiting: acceptor")
        await self.connect()
        await self.check_both_ways(*await self.forward(), b"there", b"back")
        exposing.signal("TERM")
        self.assertEqual(await exposing.ended, 143)
