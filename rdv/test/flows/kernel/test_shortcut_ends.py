"""Streams whose bytes the kernel moves: how they end, and what breaks them."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from random import Random
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from rdv._stdio import piping
from rdv.test.doubles import present
from rdv.test.sockets import REACTOR, turns
from rdv.test.stdio.doubles import PipingTestCase

CONTENT = Random(3).randbytes(5_000_001)
LOST = "the peer broke the connection"


class ShortcutTestCase(PipingTestCase):
    """A stream between two pipes; both directions have taken the shortcut already."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        super().setUp()
        return Deferred.fromCoroutine(self.take_shortcut())

    async def take_shortcut(self) -> None:
        """Let some bytes pass."""
        self.source, self.writer = self.pipe()
        self.reader, self.sink = self.pipe()
        await self.begin(self.source, self.sink)
        await self.both_ways(b"copied")
        while not self.shortened():
            await self.both_ways(b"some more")

    async def both_ways(self, data: bytes) -> None:
        """Some bytes in each direction."""
        os.write(self.writer, data)
        self.peer.sendall(data)
        self.assertEqual(await self.receive(len(data)), data)
        self.assertEqual(await self.read(self.reader, len(data)), data)

    def shortened(self) -> bool:
        """Whether the kernel has moved something in each direction."""
        shortcut = self.piping.shortcut
        return shortcut is not None and shortcut.sent > 0 and shortcut.received > 0

    def end_with(self, data: bytes) -> Deferred[None]:
        """Write to the source and end it."""
        return Deferred.fromCoroutine(self.write(self.writer, data))

    def assert_no_end(self) -> None:
        """Who reads the sink does not take what has come for everything."""
        os.set_blocking(self.reader, False)
        with self.assertRaises(BlockingIOError):
            while os.read(self.reader, 1 << 20):
                pass

    def assert_as_before(self) -> None:
        """The descriptors are as they were given to us."""
        self.assertTrue(os.get_blocking(self.source))
        self.assertTrue(os.get_blocking(self.sink))


class EndTests(ShortcutTestCase):
    """Both directions end by themselves."""

    async def test_source_first(self) -> None:
        received = self.receive()
        await self.end_with(b"the end")
        self.assertEqual(await received, b"the end")
        self.peer.sendall(CONTENT[:100])
        self.assertEqual(await self.read(self.reader, 100), CONTENT[:100])
        self.assertFalse(self.piping.done.called)
        self.assertNotIn(self.sink, [reader.fileno() for reader in REACTOR.getReaders()])
        await self.send(b"bye")
        await self.piping.done
        self.assertEqual(await self.read(self.reader), b"bye")

    async def test_peer_first(self) -> None:
        await self.send(b"the end")
        self.assertEqual(await self.read(self.reader), b"the end")
        self.assertFalse(self.piping.done.called)
        received = self.receive()
        await self.end_with(CONTENT)
        self.assertTrue(await received == CONTENT)
        await self.piping.done

    async def test_reader_leaves_before_the_end(self) -> None:
        """It has read everything."""
        self.close(self.reader)
        await turns(9)
        await self.send(b"")
        received = self.receive()
        await self.end_with(b"the end")
        self.assertEqual(await received, b"the end")
        await self.piping.done

    async def test_source_ends_while_nothing_can_be_sent(self) -> None:
        """A hang-up that is told again and again would be a busy loop; and it is not the end."""
        writing = self.end_with(CONTENT)
        self.peer.sendall(b"still there?")
        self.assertEqual(await self.read(self.reader, 12), b"still there?")
        received = self.receive()
        self.assertTrue(await received == CONTENT)
        await writing


class BrokenTests(ShortcutTestCase):
    """A reader, the peer or this process fails, and the stream breaks."""

    async def test_reader_leaves(self) -> None:
        """Noticed not only at the next byte, which may never come."""
        self.patch(piping, "_END_COMES", 0.0)
        self.close(self.reader)
        await self.broken("cannot write the data from the peer: broken pipe")
        self.assert_as_before()

    async def test_reader_leaves_before_the_next_byte(self) -> None:
        self.close(self.reader)
        self.peer.sendall(b"anything")
        await self.broken("cannot write the data from the peer: broken pipe")

    async def test_reader_leaves_while_much_is_held(self) -> None:
        sending = self.send(CONTENT)
        self.assertTrue(await self.read(self.reader, 100_000) == CONTENT[:100_000])
        # The pipe was not enlarged, because its reader has hardly begun.
        self.assertEqual(fcntl.fcntl(self.reader, fcntl.F_GETPIPE_SZ), 1 << 16)
        self.close(self.reader)
        await self.broken("cannot write the data from the peer: broken pipe")
        self.assert_as_before()
        sending.addErrback(lambda failure: failure.trap(OSError))
        await sending

    async def test_reader_leaves_while_the_last_bytes_are_held(self) -> None:
        """The end is there, too, but is not read before these are written."""
        size = fcntl.fcntl(self.reader, fcntl.F_GETPIPE_SZ) + 10_000
        await self.send(CONTENT[:size])
        await turns(30)
        self.close(self.reader)
        await self.broken("cannot write the data from the peer: broken pipe")

    async def test_peer_resets_behind_much(self) -> None:
        """What has come is written or not; in no case it looks complete."""
        sending = self.send(CONTENT, end=False)
        self.assertTrue(await self.read(self.reader, 1_000_000) == CONTENT[:1_000_000])
        reading = self.read(self.reader, len(CONTENT))
        await sending
        self.reset()
        await self.broken(LOST)
        self.close(self.sink)  # as the end of the process does
        self.assertTrue(CONTENT[1_000_000:].startswith(await reading))

    async def test_peer_resets_while_much_is_to_be_sent(self) -> None:
        writing = self.end_with(CONTENT * 4)
        self.assertTrue(await self.receive(1000) == CONTENT[:1000])
        while not present(self.splicer).pipes.taken:  # one is, when the peer takes no more
            await turns(1)
        self.reset()
        await self.broken(LOST)
        self.assert_no_end()
        self.assert_as_before()
        self.close(self.source)
        writing.addErrback(lambda failure: failure.trap(OSError))
        await writing

    async def test_interrupted(self) -> None:
        sending = self.send(CONTENT)
        self.assertTrue(await self.read(self.reader, 1_000_000) == CONTENT[:1_000_000])
        self.piping.done.cancel()
        await self.broken("interrupted")
        self.assert_no_end()
        self.assert_as_before()
        # The first to see the error gets it.
        errors = [await sending.addErrback(number_of)]
        errors.append(await deferToThread(error_of_reading, self.peer))
        self.assertIn(errno.ECONNRESET, errors)


class BrokenFileTests(PipingTestCase):
    """A file is sent meanwhile."""

    async def test_peer_resets(self) -> None:
        """Who is first gets the error, and all others would find an end instead."""
        reader, sink = self.pipe()
        await self.begin(self.file_of(CONTENT * 10), sink)
        self.assertTrue(await self.receive(1_000_000) == CONTENT[:1_000_000])
        self.peer.sendall(b"x")
        self.assertEqual(await self.read(reader, 1), b"x")
        self.assertGreater(present(self.piping.shortcut).sent, 0)
        ends: list[None] = []
        self.patch(self.piping, "readConnectionLost", lambda: ends.append(None))
        self.reset()
        await self.broken(LOST)
        self.assertEqual(ends, [])


def number_of(failure: Failure) -> int | None:
    """That of an OSError."""
    failure.trap(OSError)
    return cast(OSError, failure.value).errno


def error_of_reading(sock: socket.socket) -> int | None:
    """With what error reading ends; None for an end in good order."""
    try:
        while sock.recv(1 << 20):
            pass
    except OSError as error:
        return error.errno
    return None
