"""
Streams through a server that break in the middle: nobody takes a part for the whole.
"""

from __future__ import annotations

from hashlib import sha256

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.client.connection import Connection
from tests.processes import Program
from tests.servers import MEGABYTE, noise
from tests.test_many import ManyTestCase

SIZE = 64 * MEGABYTE
#: After so much it breaks.
MIDDLE = 16 * MEGABYTE


@implementer(IHalfCloseableProtocol)
class Half(Protocol):
    """
    Sends all it has, and its end, and reads.

    :ivar received: how many bytes have come.
    :ivar ended: whether the other side's end has come.
    :ivar half_way: fires when enough has come.
    :ivar lost: fires with the reason when the connection is gone.
    """

    transport: Connection

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._hash = sha256()
        self.received = 0
        self.ended = False
        self.half_way: Deferred[None] = Deferred()
        self.lost: Deferred[list[Failure]] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self._words)
        self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        self._hash.update(data)
        self.received += len(data)
        if self.received > MIDDLE and not self.half_way.called:
            self.half_way.callback(None)

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost.callback([reason])  # a bare Failure would be an error

    def has_heard(self, words: bytes) -> bool:
        """Whether that begins with what has come."""
        return self._hash.digest() == sha256(words[: self.received]).digest()


class SplicedTests(ManyTestCase):
    """64 MiB both ways at once, by the kernel."""

    timeout = 120

    async def start(self, *options: str) -> Program:
        """Start the server."""
        return await self.serve(*options)

    async def streams(self) -> tuple[Half, Half]:
        """Two who have sent each other a good part."""
        connections = await self.pair("broken")
        self.contents = [noise(seed, SIZE) for seed in (1, 2)]
        halves = [Half(content) for content in self.contents]
        for connection, half in zip(connections, halves, strict=True):
            self.assertTrue(connection.is_relay)
            connection.attach(half)
        await gatherResults([half.half_way for half in halves])
        dialer, acceptor = halves
        return dialer, acceptor

    async def assert_told(self, *halves: Half) -> None:
        """These have seen no end, but a break."""
        for half in halves:
            (reason,) = await half.lost
            self.assertFalse(half.ended)
            self.assertIsNone(reason.check(ConnectionDone), reason)

    def assert_parts(self, *halves: Half) -> None:
        """What has come is the beginning of what was sent, and no more."""
        for half, content in zip(halves, reversed(self.contents), strict=True):
            self.assertLess(half.received, SIZE)
            self.assertTrue(half.has_heard(content))

    async def test_reset(self) -> None:
        """By either: both are told, and the server is done with them."""
        server = await self.start()
        for breaker in (0, 1):
            halves = await self.streams()
            halves[breaker].transport.abortConnection()
            await self.assert_told(*halves)
            self.assert_parts(*halves)
        await server.line("relayed: .*")
        self.assertNotIn(b"Traceback", server.stderr)

    async def test_server_is_killed(self) -> None:
        server = await self.start()
        halves = await self.streams()
        server.signal("KILL")
        await self.assert_told(*halves)
        self.assert_parts(*halves)

    async def test_server_is_stopped(self) -> None:
        """It gives them no time."""
        server = await self.start("--drain", "0")
        halves = await self.streams()
        server.signal("TERM")
        await self.assert_told(*halves)
        self.assert_parts(*halves)
        self.assertEqual(await server.ended, 0)


class CopiedTests(SplicedTests):
    """The same over TLS, by copying."""

    async def start(self, *options: str) -> Program:
        return await self.serve_tls(*options)
