"""
``docs/howto/forwarding.rst``, with Redis.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from random import Random

from twisted.trial.unittest import SkipTest

from tests.documents import SECRET, Shell, made_by, replaced, runs
from tests.processes import Program
from tests.servers import SystemTestCase

HOWTO = "docs/howto/forwarding.rst"
URL = "https://example.com/rdv"
EXPOSE, CONNECT = "rdv expose https", "--listen 6379"
CONNECT_UNIX = "--listen unix"


class RedisTests(SystemTestCase):
    """
    Redis on a port of loopback, exposed.

    :ivar shell: where the commands of the document run.
    """

    timeout = 120

    async def begin(self, expose: str) -> Program:
        for program in ("redis-server", "redis-cli", "redis-benchmark"):
            if shutil.which(program) is None:
                raise SkipTest(f"{program} is not installed")
        self.shell = Shell(self)
        # Only Redis can get the port, because it sets SO_REUSEADDR, too.
        reserved = socket.socket()
        self.addCleanup(reserved.close)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        options = f"--bind 127.0.0.1 --port {port} --save '' --dir {self.shell.folder}"
        redis = self.shell.start(f"redis-server {options}")
        await redis.line("Ready to accept connections")
        await self.serve()
        place = f"127.0.0.1:{port}"
        exposing = self.shell.start(self.here(replaced(expose, ("127.0.0.1:6379", place))))
        await exposing.line("^WAITING: ")
        return exposing

    def here(self, command: str) -> str:
        """With the URL of the test's server, on loopback."""
        return replaced(command, (URL, f"--spaces loopback {self.url}"))

    async def connect(self, connect: str) -> str:
        """Run the command; return where it listens."""
        program = self.shell.start(self.here(connect))
        return (await program.line("^LISTENING: (.*)$"))[1]

    async def free_port(self, connect: str) -> str:
        """The same, on a port that is free; its number."""
        where = await self.connect(replaced(connect, ("--listen 6379", "--listen 0")))
        host, _, port = where.rpartition(":")
        self.assertEqual(host, "127.0.0.1")
        return port

    async def said(self, program: Program) -> str:
        """What it has said when it has ended well."""
        self.assertEqual(await program.ended, 0, program.report())
        return program.stdout.decode().strip()

    @runs(HOWTO, EXPOSE, CONNECT, "redis-cli -p 6379 ping")
    async def test_port(self, expose: str, connect: str, ping: str) -> None:
        """Small commands, and a large value, which comes back as it was."""
        secret = await made_by(await self.begin(expose))
        port = await self.free_port(replaced(connect, (SECRET, secret)))
        here = replaced(ping, ("6379", port))
        self.assertEqual(await self.said(self.shell.start(here)), "PONG")
        client = replaced(here, (" ping", ""))
        value = Random(1).randbytes(5_000_000).hex()
        (self.shell.folder / "value").write_text(value)
        stored = self.shell.script(f"{client} -x set large <value")
        self.assertEqual(await self.said(stored), "OK")
        self.assertEqual(await self.said(self.shell.start(f"{client} strlen large")), "10000000")
        self.assertEqual(await self.said(self.shell.start(f"{client} get large")), value)
        # Many clients at once.
        bench = f"redis-benchmark -p {port} -c 30 -n 3000 -t set,get --csv"
        output = await self.said(self.shell.start(bench))
        self.assertEqual(output.count('"SET"') + output.count('"GET"'), 2, output)
        counted = self.shell.start(f"redis-cli -p {port} exists key:__rand_int__")
        self.assertEqual(await self.said(counted), "1")

    @runs(HOWTO, EXPOSE, CONNECT_UNIX, "redis-cli -s")
    async def test_unix_socket(self, expose: str, connect: str, ping: str) -> None:
        """As the document has it, and for this user alone."""
        secret = await made_by(await self.begin(expose))
        listening = await self.connect(replaced(connect, (SECRET, secret)))
        self.assertEqual(listening, "unix:redis.sock")
        self.assertEqual(await self.said(self.shell.start(ping)), "PONG")
        self.assertEqual(Path(self.shell.folder / "redis.sock").stat().st_mode & 0o777, 0o600)

    @runs(HOWTO, "rdv token", "rdv expose --token-file")
    async def test_kept_secret(self, token: str, expose: str) -> None:
        """It is in a file, which the other side uses too."""
        shell = Shell(self)
        await self.said(shell.script(token))
        here = ("redis.secret", str(shell.folder / "redis.secret"))
        await self.begin(replaced(expose, here))
        connect = f"rdv connect --token-file redis.secret {URL} --listen 6379"
        port = await self.free_port(replaced(connect, here))
        self.assertEqual(await self.said(self.shell.start(f"redis-cli -p {port} ping")), "PONG")
