"""
asyncio's streams over a transport of Twisted's, in memory.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rdv import asyncio_streams
from rdv.asyncio_streams import open_connection, start_server
from rdv.errors import WrongReactor
from rdv.test.asyncio_loop import in_asyncio
from rdv.test.client.doubles import ByteTransport
from rdv.test.endpoints.doubles import PEER

T = TypeVar("T")


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class Endpoint:
    """Connects to a transport in memory, when it is told to."""

    def __init__(self) -> None:
        self.factory: Any = None
        self.cancelled = False
        self.connecting: Deferred[IProtocol] = Deferred(self._cancel)

    def _cancel(self, connecting: Deferred[IProtocol]) -> None:
        self.cancelled = True

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.factory = protocolFactory
        return self.connecting

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.factory = protocolFactory
        return succeed("a port")  # type: ignore[arg-type]

    def connected(self, peer: Any = PEER) -> ByteTransport:
        """There is a connection."""
        transport = ByteTransport(self.factory.buildProtocol(peer), peer)
        transport.connect()
        return transport


class StreamsTestCase(SynchronousTestCase):
    """Each test runs a coroutine of asyncio's."""

    def setUp(self) -> None:
        self.patch(asyncio_streams, "_installed_reactor", lambda: None)
        self.endpoint = Endpoint()

    async def open(
        self, peer: Any = PEER, **options: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, ByteTransport]:
        """A new connection, and the transport below it."""
        self.endpoint = Endpoint()
        opening = asyncio.ensure_future(open_connection(self.endpoint, **options))
        await asyncio.sleep(0)
        below = self.endpoint.connected(peer)
        self.endpoint.connecting.callback(below.protocol)
        reader, writer = await opening
        return reader, writer, below


class ClientTests(StreamsTestCase):
    """``open_connection``."""

    @in_asyncio
    async def test_bytes_and_ends(self) -> None:
        """Both ways, each end for itself."""
        reader, writer, below = await self.open()
        verifyObject(IHalfCloseableProtocol, below.protocol)
        verifyObject(IPushProducer, below.protocol)
        writer.writelines([b"one ", bytearray(b"two")])
        self.assertEqual(below.value(), b"one two")
        self.assertTrue(writer.can_write_eof())
        writer.write_eof()
        self.assertTrue(below.write_ended)
        below.deliver(b"a line\n", b"more")
        self.assertEqual(await reader.readline(), b"a line\n")
        below.end()
        self.assertEqual(await reader.read(), b"more")
        self.assertEqual(below.closing, "")
        writer.close()
        self.assertTrue(writer.is_closing())
        self.assertEqual(below.closing, "close")
        below.lose()
        await writer.wait_closed()

    @in_asyncio
    async def test_addresses(self) -> None:
        """Not every endpoint has ports."""
        for address, name in (
            (PEER, (PEER.host, PEER.port)),
            (IPv6Address("TCP", "::1", 7), ("::1", 7, 0, 0)),
            (UNIXAddress("/run/a"), "/run/a"),
            (object(), None),
        ):
            _, writer, _ = await self.open(address)
            self.assertEqual(writer.get_extra_info("peername"), name)

    @in_asyncio
    async def test_behind_the_end(self) -> None:
        """Nothing can be written there, and the end comes once."""
        _, writer, below = await self.open()
        writer.write_eof()
        self.assertRaises(RuntimeError, writer.write, b"more")
        below.write_ended = False
        writer.write_eof()
        self.assertFalse(below.write_ended)

    @in_asyncio
    async def test_gone(self) -> None:
        """What is lost is closing, and whatever is done to it is in vain."""
        _, writer, below = await self.open()
        below.lose()
        self.assertTrue(writer.is_closing())
        writer.write(b"more")
        writer.write_eof()
        writer.close()
        self.assertEqual((below.value(), below.write_ended, below.closing), (b"", False, ""))

    @in_asyncio
    async def test_reset(self) -> None:
        """It is an ``OSError``, as asyncio has it."""
        reader, _, below = await self.open()
        below.lose(ConnectionLost())
        with self.assertRaises(ConnectionResetError):
            await reader.read()

    @in_asyncio
    async def test_end_behind_a_lot(self) -> None:
        """Who drains behind the end need not wait: nothing more will be written."""
        _, writer, below = await self.open()
        below.protocol.pauseProducing()
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0)
        self.assertFalse(draining.done())
        writer.write_eof()
        await draining
        self.assertIsNone(below.producer)

    @in_asyncio
    async def test_slow_reader(self) -> None:
        """The transport reads no more than the reader has room for."""
        reader, _, below = await self.open()
        below.deliver(bytes(200_000))
        self.assertEqual(below.producerState, "paused")
        await reader.readexactly(200_000)
        self.assertEqual(below.producerState, "producing")

    @in_asyncio
    async def test_abort(self) -> None:
        _, writer, below = await self.open()
        writer.transport.abort()
        self.assertEqual(below.closing, "abort")
        self.assertIsNotNone(writer.transport.get_protocol())

    @in_asyncio
    async def test_cancel(self) -> None:
        """The attempt is cancelled, though it has begun to ask for a protocol."""
        opening = asyncio.ensure_future(open_connection(self.endpoint))
        await asyncio.sleep(0)
        self.endpoint.factory.buildProtocol(PEER)
        opening.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await opening
        self.assertTrue(self.endpoint.cancelled)

    @in_asyncio
    async def test_cancel_when_it_stands(self) -> None:
        """In the moment between, when the one who waits has not been told: it is closed."""
        for first in ("connection", "cancel"):
            self.endpoint = Endpoint()
            opening = asyncio.ensure_future(open_connection(self.endpoint))
            await asyncio.sleep(0)
            if first == "cancel":
                opening.cancel()
            below = self.endpoint.connected()
            self.endpoint.connecting.callback(below.protocol)
            opening.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await opening
            self.assertEqual(below.closing, "abort")

    @in_asyncio
    async def test_limit(self) -> None:
        """Of the reader; a longer line is an error of asyncio's."""
        for options in ({}, {"limit": 200_000}):
            reader, _, below = await self.open(**options)
            below.deliver(bytes(50_000) + b"\n")
            self.assertEqual(len(await reader.readline()), 50_001)
        reader, _, below = await self.open(limit=10)
        below.deliver(bytes(50_000) + b"\n")
        with self.assertRaises(ValueError):
            await reader.readline()


class WrongReactorTests(SynchronousTestCase):
    """The loop is not the reactor's: nothing would ever happen, no timeout either."""

    @in_asyncio
    async def test_told(self) -> None:
        async def connected(reader: object, writer: object) -> None:
            raise NotImplementedError

        from twisted.internet import reactor  # installs one, if there is none

        self.assertIs(asyncio_streams._installed_reactor(), reactor)
        for beginning in (open_connection(Endpoint()), start_server(Endpoint(), connected)):
            with self.assertRaises(WrongReactor) as raised:
                await beginning
            self.assertIn("asyncioreactor.install(", str(raised.exception))

    @in_asyncio
    async def test_reactor_of_another_loop(self) -> None:
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        other = AsyncioSelectorReactor(loop)
        self.addCleanup(other.disconnectAll)
        self.patch(asyncio_streams, "_installed_reactor", lambda: other)
        with self.assertRaises(WrongReactor):
            await open_connection(Endpoint())


class ServerTests(StreamsTestCase):
    """``start_server``."""

    @in_asyncio
    async def test_each_connection(self) -> None:
        """It has a task of its own."""

        async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read()).upper())
            writer.close()

        self.assertEqual(await start_server(self.endpoint, shout), "a port")
        before = asyncio.all_tasks()
        belows = [self.endpoint.connected(), self.endpoint.connected()]
        for below, text in zip(belows, (b"one", b"two"), strict=True):
            below.deliver(text)
            below.end()
        await asyncio.gather(*asyncio.all_tasks() - before)
        self.assertEqual([below.value() for below in belows], [b"ONE", b"TWO"])
        self.assertEqual([below.closing for below in belows], ["close", "close"])
