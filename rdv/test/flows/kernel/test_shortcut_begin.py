"""The moment at which the kernel takes over: what has been read or written before comes first."""

from __future__ import annotations

import fcntl
import os
from random import Random
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from rdv._flows.kernel.shortcut import Download, Shortcut
from rdv.client.stream.connection import Connection
from rdv.test.client.stream.probation_case import ProbationTestCase
from rdv.test.sockets import turns
from rdv.test.stdio.doubles import PipingTestCase

CONTENT = Random(5).randbytes(300_000)


class OrderTests(PipingTestCase):
    """What the transport, the sink or the connection still hold."""

    async def taken(self) -> Shortcut:
        """Wait until the shortcut is there, and some time for it to be used."""
        while self.piping.shortcut is None:
            await turns(1)
        await turns(10)
        return self.piping.shortcut

    async def test_transport_has_not_written_all(self) -> None:
        """The peer does not read, and so much does not fit into the kernel."""
        much = bytes(1 << 24)
        short = CONTENT[:1000]
        for source, content in ((self.file_of(CONTENT), CONTENT), (self.written(short), short)):
            await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
            self.piping.write(much)
            shortcut = await self.taken()
            self.assertEqual(shortcut.sent, 0)
            received = await self.receive()
            self.assertTrue(received.replace(much, b"", 1) == content)
            self.assertGreater(shortcut.sent, 0)

    def written(self, data: bytes) -> int:
        """A pipe to which that has been written, and the writer is gone."""
        source, writer = self.pipe()
        os.write(writer, data)
        self.close(writer)
        return source

    async def test_sink_has_not_written_all(self) -> None:
        """Nobody reads, and its pipe is full."""
        reader, sink = self.pipe()
        size = fcntl.fcntl(sink, fcntl.F_GETPIPE_SZ)
        os.write(sink, bytes(size))
        await self.begin(self.null(), sink)
        sending = self.send(CONTENT)
        shortcut = await self.taken()
        self.assertEqual(shortcut.received, 0)
        self.assertTrue(await self.read(reader) == bytes(size) + CONTENT)
        await sending
        self.assertGreater(shortcut.received, 0)

    async def test_sink_has_paused_the_connection(self) -> None:
        """It is not to stay so: the connection would keep the end for itself."""
        reader, sink = self.pipe()
        size = fcntl.fcntl(sink, fcntl.F_GETPIPE_SZ)
        os.write(sink, bytes(size))
        source, writer = self.pipe()
        self.later()
        await self.begin(source, sink)
        sending = self.send(CONTENT)
        while self.piping.received <= 1 << 16:
            await turns(1)
        await turns(10)
        self.assertIsNone(self.piping.shortcut)
        self.now()
        await self.write(writer, b"now")
        self.assertEqual(await self.receive(), b"now")
        self.assertTrue(await self.read(reader) == bytes(size) + CONTENT)
        await sending
        await self.piping.done

    def later(self) -> None:
        """The choice of the path is not final."""
        self._patch = self.patch(Connection, "final_transport", None)

    def now(self) -> None:
        """It is."""
        self._patch.restore()

    async def test_choice_is_not_final(self) -> None:
        """Then another path may take the place of this one."""
        source, writer = self.pipe()
        self.later()
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
        os.write(writer, b"before")
        self.assertEqual(await self.receive(6), b"before")
        await turns(10)
        self.assertIsNone(self.piping.shortcut)
        self.now()
        for data in (b"copied", b"moved"):
            os.write(writer, data)
            self.assertEqual(await self.receive(len(data)), data)
        self.assertEqual((await self.taken()).sent, 5)

    async def test_source_ends_in_the_same_turn(self) -> None:
        """The only byte, and the end."""
        reader, sink = self.pipe()
        await self.begin(self.file_of(b"x"), sink)
        self.transport.doWrite()
        self.patch(os, "sendfile", None)
        await self.taken()
        self.assertEqual(await self.receive(), b"x")
        await self.send(b"y")
        self.assertEqual(await self.read(reader), b"y")
        await self.piping.done

    async def test_peer_ends_in_the_same_turn(self) -> None:
        """Likewise."""
        reader, sink = self.pipe()
        source, writer = self.pipe()
        await self.begin(source, sink)
        self.piping.dataReceived(b"y")
        self.transport.readConnectionLost(Failure(CONNECTION_DONE))
        self.patch(Download, "begin", None)
        await self.taken()
        self.assertEqual(await self.read(reader), b"y")
        await self.write(writer, b"x")
        self.assertEqual(await self.receive(), b"x")
        await self.piping.done

    async def test_peer_ends_in_the_next_turn(self) -> None:
        """The transport was paused, but it had been told already."""
        reader, sink = self.pipe()
        begin = Download.begin

        def told(download: Download, producer: IPushProducer) -> None:
            begin(download, producer)
            self.piping.dataReceived(b"z")
            self.transport.readConnectionLost(Failure(CONNECTION_DONE))

        self.patch(Download, "begin", told)
        await self.begin(self.null(), sink)
        self.peer.sendall(b"y")
        self.assertEqual(await self.read(reader), b"yz")
        await self.piping.done

    @property
    def transport(self) -> Any:
        """The one below."""
        return self.connection.transport

    async def test_cut_in_the_same_turn(self) -> None:
        """It is too late for a shortcut."""
        await self.begin(self.null(), self.pipe()[1])
        self.piping.dataReceived(b"y")
        self.piping.done.cancel()
        await self.broken("interrupted")
        await turns(3)
        self.assertIsNone(self.piping.shortcut)


class FinalTests(ProbationTestCase):
    """When the path of a connection is final."""

    def test_direct(self) -> None:
        """When the peer has made the same choice."""
        self.assertIsNone(self.connection.final_transport)
        self.acknowledge()
        self.assertIs(self.connection.final_transport, self.direct.near)

    def test_relay(self) -> None:
        """When the direct path is dead."""
        self.direct.lose()
        self.clock.advance(0)
        self.assertIs(self.connection.final_transport, self.relay.near)
