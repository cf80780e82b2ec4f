"""
How the server classifies a pair: with real clients that are killed, give up, or find a path.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

from rdv.test.doubles import HalfWire
from rdv.test.server.doubles import request
from rdv.wire import hello_line
from tests.processes import Program, together
from tests.servers import DIRECT, SystemTestCase

REACTOR: Any = reactor
TOKEN = "a token"


class _Silent(Factory[Protocol]):
    """Accepts, and sends nothing."""

    noisy = False

    def __init__(self) -> None:
        self.reached: Deferred[None] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        if not self.reached.called:
            self.reached.callback(None)
        return Protocol()


class UndecidedTests(SystemTestCase):
    """A dialer that has received HELLO on the relay, and waits for a direct path."""

    forked = True
    timeout = 240

    async def undecided(self, *options: str) -> tuple[Program, Program, HalfWire]:
        """The server, the dialer, and an acceptor that is none of ours."""
        server = await self.serve()
        silent = _Silent()
        port = REACTOR.listenTCP(0, silent, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        acceptor = HalfWire()
        await connectProtocol(TCP4ClientEndpoint(REACTOR, "127.0.0.1", self.port), acceptor)
        self.addCleanup(self.hang_up, acceptor)
        own = b"127.0.0.1:%d" % port.getHost().port
        acceptor.write(request(b"ACCEPT", rdv_token=TOKEN.encode(), rdv_self_addrs=own))
        dialer = self.dial(*DIRECT, "--penalty", "50", *options, token=TOKEN)
        await acceptor.until(b"\r\n\r\n")
        acceptor.write(hello_line(TOKEN.encode()))
        await silent.reached
        # The server has read HELLO when it answers a client that arrived later.
        self.assertIn(b" 426 ", await self.ask(request(b"GET", connection=b"close")))
        return server, dialer, acceptor

    async def hang_up(self, acceptor: HalfWire) -> None:
        """It leaves, if it is still there."""
        gone = acceptor.lost()
        if acceptor.reason is None:
            acceptor.transport.abortConnection()  # type: ignore[union-attr]
        await gone

    async def test_killed(self) -> None:
        """Or told to end."""
        for name in ("KILL", "INT", "TERM"):
            server, dialer, acceptor = await self.undecided()
            dialer.signal(name)
            await server.line("abandoned: ")
            await acceptor.ended()
            await server.kill()

    async def test_time_is_up(self) -> None:
        server, dialer, _ = await self.undecided("--timeout", "1")
        self.assertEqual(await dialer.ended, 1)
        await server.line("abandoned: ")

    async def test_acceptor_leaves(self) -> None:
        """The dialer may still choose the relay; it does not find out before it does."""
        server, dialer, acceptor = await self.undecided("--timeout", "5")
        acceptor.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.assertEqual(await dialer.ended, 1)
        await server.line("abandoned: ")


class DirectTests(SystemTestCase):
    """A direct path that was found, by clients of ours."""

    forked = True
    timeout = 240

    async def check(self, server: Program, *options: str) -> None:
        """Let two pairs meet, at once."""
        await together(*(self.meet(server, f"{n:04} token", *options) for n in range(2)))

    async def meet(self, server: Program, token: str, *options: str) -> None:
        start = (*DIRECT, *options)
        clients = self.accept(*start, token=token), self.dial(*start, token=token)
        await self.connected("p2p", *clients)
        await server.line(f"direct: {token[:4]}")
        for client in clients:
            client.close_stdin()
        for client in clients:
            self.assertEqual(await client.ended, 0, client.report())

    async def test_each_server(self) -> None:
        for workers in ((), ("--workers", "2")):
            await self.check(await self.serve(*workers))
            server = await self.serve_https(*workers)
            await self.check(server, *self.trust)
