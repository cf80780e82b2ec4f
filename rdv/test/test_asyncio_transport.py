"""
What programs do with the transport below asyncio's streams.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from rdv.asyncio_streams import Connected, start_server
from rdv.test.asyncio_loop import in_asyncio
from rdv.test.certificates import Authority
from rdv.test.client.doubles import ByteTransport
from rdv.test.test_asyncio_streams import Endpoint, StreamsTestCase


class TransportTests(StreamsTestCase):
    """Its buffer, its socket, and whether it reads."""

    @in_asyncio
    async def test_buffer(self) -> None:
        """Its size and its limits; what the transport has not taken waits here."""
        _, writer, below = await self.open()
        transport = writer.transport
        self.assertEqual(transport.get_write_buffer_limits(), (1 << 14, 1 << 16))
        self.assertEqual(transport.get_write_buffer_size(), 0)
        transport.set_write_buffer_limits(high=200_000)
        self.assertEqual(transport.get_write_buffer_limits(), (50_000, 200_000))
        below.protocol.pauseProducing()
        writer.write(bytes(100_000))
        self.assertEqual(below.value(), b"")
        self.assertGreater(transport.get_write_buffer_size(), 100_000)
        await writer.drain()  # there is room
        writer.write(bytes(100_000))
        draining = asyncio.ensure_future(writer.drain())
        await asyncio.sleep(0)
        self.assertFalse(draining.done())
        size = transport.get_write_buffer_size()
        transport.set_write_buffer_limits(high=size, low=size)
        await draining
        writer.write(b"")
        await writer.drain()
        below.protocol.resumeProducing()
        self.assertEqual((below.value(), transport.get_write_buffer_size()), (bytes(200_000), 0))
        transport.set_write_buffer_limits(low=10)
        self.assertEqual(transport.get_write_buffer_limits(), (10, 40))
        for wrong in ({"high": 1, "low": 2}, {"high": 1, "low": -1}):
            self.assertRaises(ValueError, transport.set_write_buffer_limits, **wrong)

    @in_asyncio
    async def test_other_protocols(self) -> None:
        """One that brings its own buffer, however small; it closes when the peer has ended."""

        class Buffered(asyncio.BufferedProtocol):
            buffer, data = bytearray(3), b""

            def get_buffer(self, sizehint: int) -> bytearray:
                return self.buffer

            def buffer_updated(self, nbytes: int) -> None:
                self.data += self.buffer[:nbytes]

        _, writer, below = await self.open()
        writer.transport.set_protocol(protocol := Buffered())
        below.deliver(b"more than it holds")
        self.assertEqual(protocol.data, b"more than it holds")
        below.end()
        self.assertEqual(below.closing, "close")

    @in_asyncio
    async def test_piece_by_piece(self) -> None:
        """A large piece is not forced upon a transport that is full."""
        _, writer, below = await self.open()
        taken: list[int] = []

        def write(data: bytes) -> None:
            taken.append(len(data))
            below.protocol.pauseProducing()

        self.patch(below, "write", write)
        writer.write(bytes(150_000))
        self.assertEqual(taken, [1 << 16])
        below.protocol.resumeProducing()
        writer.write_eof()  # then nothing else can follow
        self.assertEqual((sum(taken), below.write_ended), (150_000, True))

    @in_asyncio
    async def test_wrong_data(self) -> None:
        """A number is not so many zeros."""
        _, writer, _ = await self.open()
        for wrong in (5, "text", None):
            self.assertRaises(TypeError, writer.write, wrong)

    @in_asyncio
    async def test_reading(self) -> None:
        _, writer, below = await self.open()
        transport: Any = writer.transport
        self.assertTrue(transport.is_reading())
        transport.pause_reading()
        self.assertFalse(transport.is_reading())
        self.assertEqual(below.producerState, "paused")
        transport.resume_reading()
        self.assertTrue(transport.is_reading())
        transport.close()
        self.assertFalse(transport.is_reading())

    @in_asyncio
    async def test_socket(self) -> None:
        """If there is one."""
        _, writer, below = await self.open()
        self.assertEqual(writer.get_extra_info("socket", "none"), "none")
        with socket.socket() as sock:
            below.handle = sock
            self.assertEqual(writer.get_extra_info("socket").fileno(), sock.fileno())


class TLSTests(StreamsTestCase):
    """``start_tls``, in the middle of a stream."""

    def setUp(self) -> None:
        super().setUp()
        authority = Authority()
        self.trusting = ssl.create_default_context(cadata=authority.pem.decode())
        # Since Python 3.13 that is strict about what the certificates of these tests lack.
        self.trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(authority.issue("peer.test"))
        self.serving.load_cert_chain(path)

    def join(self, one: ByteTransport, other: ByteTransport) -> None:
        """What is done to one arrives at the other."""
        loop = asyncio.get_running_loop()
        for here, there in ((one, other), (other, one)):
            written = lambda data, there=there: loop.call_soon(there.deliver, data)  # noqa: E731
            ended = lambda there=there: loop.call_soon(there.end)  # noqa: E731
            closed = lambda here=here, there=there: (  # noqa: E731
                loop.call_soon(there.end),
                loop.call_soon(here.lose),
            )
            self.patch(here, "write", written)
            self.patch(here, "loseWriteConnection", ended)
            self.patch(here, "loseConnection", closed)

    async def connect(
        self, connected: Connected
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One end; a server has the other one."""
        server = Endpoint()
        await start_server(server, connected)
        _, _, below = streams = await self.open()
        self.join(below, server.connected())
        return streams[:2]

    @in_asyncio
    async def test_start_tls(self) -> None:
        async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.assertEqual(await reader.readline(), b"TLS?\n")
            writer.write(b"go\n")
            await writer.start_tls(self.serving)
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        reader, writer = await self.connect(shout)
        writer.write(b"TLS?\n")
        self.assertEqual(await reader.readline(), b"go\n")
        await writer.start_tls(self.trusting, server_hostname="peer.test")
        self.assertIs(writer.get_extra_info("sslcontext"), self.trusting)
        writer.write(bytes(50_000) + b"is anybody there?\n")
        self.assertEqual(await reader.readline(), bytes(50_000) + b"IS ANYBODY THERE?\n")
        self.assertEqual(await reader.read(), b"")
        writer.close()
        await writer.wait_closed()

    @in_asyncio
    async def test_wrong_name(self) -> None:
        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with self.assertRaises(OSError):
                await writer.start_tls(self.serving)

        _, writer = await self.connect(wait)
        with self.assertRaises(ssl.SSLCertVerificationError):
            await writer.start_tls(self.trusting, server_hostname="other.test")
        writer.close()
