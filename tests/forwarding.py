"""
``rdv expose`` and ``rdv connect`` between a local program and a target, both of which are the
test's own.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from tests.processes import Program
from tests.servers import DIRECT, RELAYED, SystemTestCase
from tests.talker import Talker

__all__ = ["CONNECTED", "ForwardingTestCase", "Target"]

REACTOR: Any = reactor
#: What each side reports about a forward; to be formatted with its path.
CONNECTED = r"CONNECTED (\d+): {} (?:127\.0\.0\.1|\[::1\]):\d+, \d+ms"


class Target(Factory[Talker]):
    """
    Accepts all connections.

    :ivar visitors: the connections so far.
    """

    noisy = False

    def __init__(self, test: TestCase) -> None:
        self._test = test
        self.visitors: DeferredQueue[Talker] = DeferredQueue()

    def buildProtocol(self, addr: object) -> Talker:
        talker = Talker()
        self._test.addCleanup(talker.close)
        talker.made = self.visitors.put
        return talker


class ForwardingTestCase(SystemTestCase):
    """
    Starts the forwarding commands, on loopback.

    :ivar visitors: the connections to the target.
    :ivar where: the target, as the exposing side is told.
    :ivar listening: where the connecting side listens.
    """

    forked = True
    visitors: DeferredQueue[Talker]
    where = ""
    listening = ""

    def folder(self) -> Path:
        """An empty one with a short name, as Unix sockets need."""
        path = Path(mkdtemp(prefix="rdv"))
        self.addCleanup(path.rmdir)
        self.addCleanup(_empty, path)
        return path

    async def target(self, path: Path | None = None) -> Any:
        """Listen, on a port of 127.0.0.1 or a Unix socket."""
        if path is None:
            endpoint: Any = TCP4ServerEndpoint(REACTOR, 0, interface="127.0.0.1")
        else:
            endpoint = UNIXServerEndpoint(REACTOR, str(path))
        target = Target(self)
        self.visitors = target.visitors
        port = await endpoint.listen(target)
        self.addCleanup(port.stopListening)
        self.where = f"unix:{path}" if path else f"127.0.0.1:{port.getHost().port}"
        return port

    async def serve_again(self) -> Program:
        """Start a server where the last one was."""
        return await self.serve(listen=f"127.0.0.1:{self.port}")

    async def expose(self, *options: str, token: str = "a token") -> Program:
        """Start ``rdv expose`` for the target, and wait until peers can come."""
        program = self.rdv("expose", *(options or DIRECT), self.url, token, self.where)
        await program.line("^WAITING: ")
        return program

    async def connect(self, *options: str, listen: str = "0", token: str = "a token") -> Program:
        """Start ``rdv connect``, and wait until it listens."""
        options = options or DIRECT
        program = self.rdv("connect", *options, self.url, token, "--listen", listen)
        self.listening = (await program.line("^LISTENING: (.*)$"))[1]
        return program

    async def visit(self, where: str = "") -> Talker:
        """A local connection."""
        where = where or self.listening
        kind, _, rest = where.rpartition(":")
        endpoint: Any = (
            UNIXClientEndpoint(REACTOR, rest)
            if kind == "unix"
            else TCP4ClientEndpoint(REACTOR, kind, int(rest))
        )
        talker = await connectProtocol(endpoint, Talker())
        self.addCleanup(talker.close)
        return cast(Talker, talker)

    async def assert_visit_reset(self) -> None:
        """A local connection is reset, perhaps before anybody could see that it stood."""
        try:
            local = await self.visit()
        except ConnectError as error:
            self.assertEqual(error.osError, errno.ECONNRESET)
        else:
            await local.gone()
            self.assertTrue(local.is_reset, local.lost)

    async def forward(self) -> tuple[Talker, Talker]:
        """A local connection, and what has come to the target because of it."""
        local = await self.visit()
        return local, await self.visitors.get()

    async def check_both_ways(
        self, local: Talker, visitor: Talker, there: bytes, back: bytes
    ) -> None:
        """Much both ways at once, then the end of one way, then more the other way."""
        local.write(there)
        visitor.write(back)
        self.assertEqual(await visitor.received(len(there)), there)
        self.assertEqual(await local.received(len(back)), back)
        local.write(b"the end")
        local.end()
        self.assertEqual(await visitor.ended(), there + b"the end")
        visitor.write(b"more")
        visitor.end()
        self.assertEqual(await local.ended(), back + b"more")
        for talker in (local, visitor):
            talker.transport.loseConnection()
            await talker.gone()

    async def on_each_path(self, check: Callable[..., Awaitable[object]]) -> None:
        """
        Directly, through the relay, and through one where no kernel can help.

        :param check: called with the path, as commands name it, and options.
        """
        await self.target()
        await self.serve()
        await check("p2p", *DIRECT)
        await check("relay", *RELAYED)
        await self.serve_https()
        await check("relay", *RELAYED, *self.trust)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
