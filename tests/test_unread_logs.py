"""
Servers whose log goes to a pipe that nobody reads: they go on serving.
"""

from __future__ import annotations

import fcntl
import os
import re

from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from tests.callers import call, join
from tests.processes import PYTHON, Program
from tests.servers import TWIST, SystemTestCase

#: More events than such a pipe takes.
MANY = 300


class UnreadTests(SystemTestCase):
    """Each way to run a server, at a level at which every client is told of."""

    async def check(self, *argv: str, on_stdout: bool = False) -> None:
        """Clients come and go, until the pipe is full, and then some; then somebody reads it."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
        server = Program(
            self,
            *argv,
            stdout=writer if on_stdout else None,
            stderr=None if on_stdout else writer,
        )
        os.close(writer)
        head = b""
        while not (found := re.search(rb"(?:LISTENING: .*:|starting on )(\d+)\n", head)):
            head += await deferToThread(os.read, reader, 65536)
        port = int(found[1])
        for number in range(MANY):
            caller = await call(port, "ACCEPT", f"token {number}")
            await caller.leave()
        dialer, acceptor = await join(port, "met")
        heard = acceptor.hear(b"goes on")
        dialer.write(b"goes on")
        await heard
        told = b""
        os.set_blocking(reader, False)
        while b"SKIPPED: " not in told:
            caller = await call(port, "ACCEPT", "one more")
            await caller.leave()
            told += self.read(reader)
        self.assertGreater(int(re.search(rb"SKIPPED: (\d+) lines", told)[1]), 100)  # type: ignore[index]
        await gatherResults([dialer.leave(), acceptor.leave()])
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())

    def read(self, reader: int) -> bytes:
        try:
            return os.read(reader, 1 << 20)
        except BlockingIOError:
            return b""

    async def test_serve(self) -> None:
        await self.check(PYTHON, "-m", "rdv", "serve", "-v", "-l", "127.0.0.1:0")

    async def test_serve_with_workers(self) -> None:
        await self.check(
            *(PYTHON, "-m", "rdv", "serve", "-v", "-l", "127.0.0.1:0", "--workers", "2")
        )

    async def test_twist(self) -> None:
        options = ("--log-level", "debug", "--log-format", "text")
        listen = ("rdv", "--port", "tcp:0:interface=127.0.0.1")
        await self.check(TWIST, *options, *listen, on_stdout=True)
