"""
``rdv expose`` and ``rdv connect`` between a local program and a target, both of which are the
test's own.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.processes import Program
from tests.servers import DIRECT, SystemTestCase

__all__ = ["CONNECTED", "ForwardingTestCase", "Talker", "Target"]

REACTOR: Any = reactor
#: What either side says of each forward; to be formatted with its path.
CONNECTED = r"CONNECTED (\d+): {} (?:127\.0\.0\.1|\[::1\]):\d+, \d+ms"


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """
    One end of everything.

    :ivar data: what has come.
    :ivar read_ended: whether the other side has ended its direction.
    :ivar lost: why the connection is gone; None while it stands.
    """

    transport: ITCPTransport

    def __init__(self) -> None:
        self.made: Callable[[Talker], object] = lambda _: None
        self.data = bytearray()
        self.read_ended = False
        self.lost: Failure | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[bytes]]] = []

    def received(self, size: int) -> Deferred[bytes]:
        """All that has come, once it is at least so many bytes."""
        return self._when(lambda: len(self.data) >= size)

    def ended(self) -> Deferred[bytes]:
        """All that has come, at the end of the other side's direction."""
        return self._when(lambda: self.read_ended)

    def over(self) -> Deferred[bytes]:
        """All that has come, at the end of the other side's direction or of the connection."""
        return self._when(lambda: self.read_ended or self.lost is not None)

    def gone(self) -> Deferred[bytes]:
        """All that has come, when the connection is no more."""
        return self._when(lambda: self.lost is not None)

    @property
    def is_reset(self) -> bool:
        """Whether it was lost in a way that nobody takes for an end."""
        lost = self.lost
        return lost is not None and not lost.check(ConnectionDone) and not self.read_ended

    @property
    def why_lost(self) -> str:
        """The reason, for a message."""
        return "it stands" if self.lost is None else self.lost.getErrorMessage()

    def write(self, data: bytes) -> None:
        """Send."""
        self.transport.write(data)

    def end(self) -> None:
        """End this direction, if there is still one."""
        if self.lost is None:
            self.transport.loseWriteConnection()

    def close(self) -> None:
        """Close, whatever the state."""
        if self.lost is None:
            self.transport.abortConnection()

    def _when(self, true: Callable[[], bool]) -> Deferred[bytes]:
        waiter: Deferred[bytes] = Deferred()
        self._waiting.append((true, waiter))
        self._look()
        return waiter

    def _look(self) -> None:
        for entry in list(self._waiting):
            true, waiter = entry
            if true():
                self._waiting.remove(entry)
                waiter.callback(bytes(self.data))
            elif self.lost is not None:
                self._waiting.remove(entry)
                waiter.errback(AssertionError(f"lost after {len(self.data)} bytes: {self.lost}"))

    def connectionMade(self) -> None:
        self.made(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self._look()

    def readConnectionLost(self) -> None:
        self.read_ended = True
        self._look()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self._look()


class Target(Factory[Talker]):
    """
    Takes whoever comes.

    :ivar visitors: those who have come.
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
    Starts what forwards, on loopback.

    :ivar visitors: those who have come to the target.
    :ivar where: what an exposing side is told of the target.
    :ivar listening: where the connecting side listens.
    """

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


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
