"""
Servers of several processes, for the tests.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from rdv.test.doubles import HalfWire
from rdv.test.server.doubles import request
from rdv.wire import confirm_line, hello_line
from tests.processes import Program
from tests.servers import SystemTestCase

REACTOR: Any = reactor
WORKERS = 3


class WorkersTestCase(SystemTestCase):
    """
    Three workers, and clients in this process.

    :ivar server: their parent.
    """

    timeout = 120

    async def serve_with_workers(self, *options: str, **keywords: str) -> Program:
        """Start them, and wait until they serve."""
        self.server = await self.serve("--workers", str(WORKERS), *options, **keywords)
        return self.server

    def processes(self) -> list[int]:
        """The processes of the workers, each the last one that was started."""
        found = re.findall(rb"worker (\d+) serves as process (\d+)", self.server.stderr)
        return [pid for _, pid in sorted({int(n): int(pid) for n, pid in found}.items())]

    #: What clients send before their request.
    preamble = b""

    async def ask(self, method: bytes, token: bytes) -> HalfWire:  # type: ignore[override]
        """A client that has sent its request."""
        wire = HalfWire()
        endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", self.port)
        await connectProtocol(endpoint, wire)
        self.addCleanup(self.hang_up, wire)
        wire.write(self.preamble + request(method, rdv_token=token))
        return wire

    async def hang_up(self, wire: HalfWire) -> None:
        """It leaves, if it is still there."""
        gone = wire.lost()
        if wire.reason is None:
            wire.transport.abortConnection()  # type: ignore[union-attr]
        await gone

    async def relayed(self, token: bytes) -> tuple[HalfWire, HalfWire]:
        """A pair, whose stream has begun."""
        acceptor, dialer = [await self.ask(method, token) for method in (b"ACCEPT", b"DIAL")]
        await self.shake_hands(token, acceptor, dialer)
        return acceptor, dialer

    async def shake_hands(self, token: bytes, acceptor: HalfWire, dialer: HalfWire) -> None:
        """Each in its turn."""
        await acceptor.until(b"\r\n\r\n")
        acceptor.write(hello_line(token))
        await dialer.until(hello_line(token))
        dialer.write(confirm_line(token))
        await acceptor.until(confirm_line(token))

    async def exchange(self, pair: tuple[HalfWire, HalfWire], words: bytes) -> None:
        """Something goes there and back."""
        for one, other in (pair, pair[::-1]):
            one.write(words)
            await other.until(words)
