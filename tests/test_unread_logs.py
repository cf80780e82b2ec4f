"""
Servers whose log goes to an unread pipe, or to a full disk: they continue to serve.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from rdv.server.logs.observers import COLUMNS
from tests.callers import call, join
from tests.processes import PYTHON, Program
from tests.servers import TWIST, SystemTestCase

REACTOR: Any = reactor
#: More events than such a pipe holds.
MANY = 300


class UnreadTests(SystemTestCase):
    """Each way to run a server, at a level at which every client is logged."""

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
        while not (
            found := re.search(rb"(?:LISTENING: .*:|\"127\.0\.0\.1:|starting on )(\d+)[\n\"]", head)
        ):
            head += await deferToThread(os.read, reader, 65536)
        port = int(found[1])
        for number in range(MANY):
            caller = await call(port, "ACCEPT", f"token {number}")
            await caller.leave()
        dialer, acceptor = await join(port, "met")
        heard = acceptor.hear(b"goes on")
        dialer.write(b"goes on")
        await heard
        told = head
        os.set_blocking(reader, False)
        while not (found := re.search(rb"(?:SKIPPED: |\"skipped\", .*\"count\": )(\d+)\b", told)):
            caller = await call(port, "ACCEPT", "one more")
            await caller.leave()
            told += self.read(reader)
        self.assertGreater(int(found[1]), 100)
        await gatherResults([dialer.leave(), acceptor.leave()])
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        self.told = (told + self.read(reader)).decode()

    def read(self, reader: int) -> bytes:
        try:
            return os.read(reader, 1 << 20)
        except BlockingIOError:
            return b""

    async def test_serve(self) -> None:
        await self.check(PYTHON, "-m", "rdv", "serve", "-v", "-l", "127.0.0.1:0", "--no-limits")

    async def test_serve_with_workers(self) -> None:
        options = ("-l", "127.0.0.1:0", "--no-limits", "--workers", "2")
        await self.check(PYTHON, "-m", "rdv", "serve", "-v", *options)

    async def test_json(self) -> None:
        """Each line that comes is whole."""
        listen = ("-l", "127.0.0.1:0", "--no-limits", "--workers", "2", "--log-format", "json")
        await self.check(PYTHON, "-m", "rdv", "serve", "-v", *listen)
        self.assertGreater(len(self.told.splitlines()), 20)
        for line in self.told.splitlines():
            self.assertIsInstance(json.loads(line), dict)

    async def test_access(self) -> None:
        """The pipe is full of pairs; what is missing is told on stderr."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        options = ("-l", "127.0.0.1:0", "--log-format", "access")
        server = Program(self, PYTHON, "-m", "rdv", "serve", *options, stdout=writer)
        os.close(writer)
        port = int((await server.line("LISTENING: .*:(\\d+)"))[1])
        for number in range(60):
            await self.meet_and_part(port, f"token {number}")
        told = os.read(reader, 65536)
        await self.meet_and_part(port, "another one")
        skipped = await server.line(r"SKIPPED: (\d+) lines")
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        lines = (told + os.read(reader, 65536)).decode().splitlines()
        self.assertGreater(int(skipped[1]), 30)
        for line in lines:
            self.assertEqual(len(line.split(" ")), len(COLUMNS), line)

    async def meet_and_part(self, port: int, token: str) -> None:
        """A pair that is relayed, and ends in good order."""
        for caller in await join(port, token):
            await caller.leave()

    async def test_disk_is_full(self) -> None:
        """A log that nobody will ever read; with workers, and without."""
        for options in (
            *((), ("--workers", "2"), ("--log-format", "json")),
            ("--log-format", "access", "--workers", "2"),
        ):
            reserved = socket.socket()  # does not listen, so that the server may
            self.addCleanup(reserved.close)
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
            serve = ("-m", "rdv", "serve", "-v", "-l", f"127.0.0.1:{port}", *options)
            with open("/dev/full", "wb") as full:
                server = Program(self, PYTHON, *serve, stdout=full.fileno(), stderr=full.fileno())
            await self.reached(port)
            for number in range(20):
                dialer, acceptor = await join(port, f"token {number}")
                heard = acceptor.hear(b"goes on")
                dialer.write(b"goes on")
                await heard
                await gatherResults([dialer.leave(), acceptor.leave()])
            server.signal("TERM")
            self.assertEqual(await server.ended, 0, server.report())

    async def reached(self, port: int) -> None:
        """Wait for a server that tells of nothing."""
        while True:
            try:
                caller = await call(port, "ACCEPT", "the first")
            except ConnectError:
                await deferLater(REACTOR, 0.05)
            else:
                await caller.leave()
                return

    async def test_twist(self) -> None:
        options = ("--log-level", "debug", "--log-format", "text")
        listen = ("rdv", "--port", "tcp:0:interface=127.0.0.1", "--no-limits")
        await self.check(TWIST, *options, *listen, on_stdout=True)
