"""The end of a stream whose source has nothing, and of one whose reader leaves."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from rdv._stdio import own_end, piping
from rdv.client import IPathListener
from rdv.test.sockets import turns
from rdv.test.stdio.doubles import PipingTestCase

#: More than a pipe holds.
CONTENT = bytes(200_000)
#: Also more than a pipe holds, but so little more that a sink buffers the rest without pausing its
#: producer.
SOME = 75_000


class _Case(PipingTestCase):
    async def send_some(self, end: bool = True) -> None:
        """
        In two pieces, the first of which is with the pipe when the other one comes: both at once
        would be too much for the sink, which would stop its producer, and the end not be read.
        """
        for start, stop in ((0, 60_000), (60_000, SOME)):
            await self.send(CONTENT[start:stop], end and stop == SOME)
            while self.piping.received < stop:
                await turns(1)
            await turns(5)


class EmptySourceTests(_Case):
    """Our end is the peer's receipt."""

    def assert_no_end(self) -> None:
        """The peer has not seen one yet."""
        self.peer.setblocking(False)
        self.assertRaises(BlockingIOError, self.peer.recv, 1)
        self.peer.setblocking(True)

    async def test_receipt(self) -> None:
        """It comes when the reader has all but what a pipe holds."""
        reader, sink = self.pipe()
        await self.begin(self.null(), sink)
        sending = self.send(CONTENT)
        self.assertEqual(await self.read(reader, 1000), CONTENT[:1000])
        await sending
        await turns(20)
        self.assert_no_end()
        received = self.receive()
        self.assertEqual(await self.read(reader), CONTENT[1000:])
        self.assertEqual(await received, b"")
        await self.piping.done

    async def test_no_silence(self) -> None:
        """The reader is slow, not the peer."""
        reader, sink = self.pipe()
        source, writer = self.pipe()
        await self.begin(source, sink)
        sending = self.send(CONTENT)
        self.assertEqual(await self.read(reader, 1000), CONTENT[:1000])
        await sending
        await turns(20)
        for name in ("_BEFORE", "_LATER"):
            self.patch(own_end, name, 0.0)
        self.close(writer)
        await turns(20)
        self.assert_no_end()
        self.assertEqual(await self.read(reader), CONTENT[1000:])
        await self.piping.done

    async def test_sink_fails(self) -> None:
        """Behind the last byte."""
        await self.begin(self.null(), self.opened("/dev/full", os.O_WRONLY))
        sending = self.send(b"x")
        await self.broken("cannot write the data from the peer: no space left on device")
        await sending.addErrback(lambda failure: failure.trap(OSError))
        with self.assertRaises(ConnectionResetError):
            await self.receive()

    async def test_sink_fails_when_it_is_closed(self) -> None:
        """As a file on a network does."""

        def close(fd: int) -> None:
            really_close(fd)
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

        await self.begin(self.null(), self.opened(self.mktemp(), os.O_WRONLY | os.O_CREAT))
        really_close = os.close
        self.patch(os, "close", close)
        self.peer.shutdown(socket.SHUT_WR)
        await self.broken("cannot write the data from the peer: disk quota exceeded")
        self.patch(os, "close", really_close)
        with self.assertRaises(ConnectionResetError):
            await self.receive()

    async def test_reader_leaves(self) -> None:
        """It has not read everything, and the peer, which has long sent all, hears of that."""
        reader, sink = self.pipe()
        await self.begin(self.null(), sink)
        await self.send(CONTENT)
        self.assertEqual(await self.read(reader, 1), CONTENT[:1])
        self.close(reader)
        await self.broken("cannot write the data from the peer: broken pipe")
        with self.assertRaises(ConnectionResetError):
            await self.receive()

    async def test_peer_does_not_wait(self) -> None:
        """It breaks off behind its end: that costs us nothing. All of it has come."""
        self.splicer = None
        reader, sink = self.pipe()
        await self.begin(self.null(), sink)
        await self.send_some()
        await turns(5)
        self.reset()
        self.assertEqual(await self.read(reader), CONTENT[:SOME])
        await self.piping.done

    async def test_closing_in_good_order(self) -> None:
        """Our own end may still have to be sent again."""
        source, writer = self.pipe()
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
        transport: Any = self.connection.transport
        options: list[bytes] = []

        def close() -> None:
            options.append(self.handle().getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
            type(transport).loseConnection(transport)

        transport.loseConnection = close
        await self.write(writer, b"question")
        self.assertEqual(await self.receive(), b"question")
        await self.send(b"answer")
        await self.piping.done
        self.assertEqual(options, [bytes(8)])

    async def test_broken_off(self) -> None:
        """By the peer, before its end; by us, and no timer is left."""
        await self.begin(self.null(), self.opened(os.devnull, os.O_WRONLY))
        self.peer.sendall(b"a part")
        while not self.piping.received:
            await turns(1)
        self.reset()
        await self.broken("the peer broke the connection")
        await self.begin(self.null(), self.opened(os.devnull, os.O_WRONLY))
        self.piping.done.cancel()
        await self.broken("interrupted")
        with self.assertRaises(ConnectionResetError):
            await self.receive()

    async def test_person_is_shown_the_rest(self) -> None:
        """The peer's end is there, and what it sent before is not yet written."""
        self.splicer = None
        reader, sink = self.pipe()
        source, _ = self.pipe()
        await self.begin(source, sink, interactive=True)
        await self.send_some()
        await turns(20)
        self.assert_no_end()
        self.assertEqual(await self.read(reader), CONTENT[:SOME])
        self.assertEqual(await self.receive(), b"")
        await self.piping.done

    async def test_person_has_ended(self) -> None:
        """With ^D before anything else: whoever it was talking to sees that at once."""
        source, writer = self.pipe()
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY), interactive=True)
        self.close(writer)
        self.assertEqual(await self.receive(), b"")
        await self.send(b"bye")
        await self.piping.done

    async def test_empty_request(self) -> None:
        """The peer answers when it has seen the end."""
        self.patch(own_end, "_BEFORE", 0.0)
        reader, sink = self.pipe()
        await self.begin(self.null(), sink)
        self.assertEqual(await self.receive(), b"")
        await self.send(CONTENT[:1000])
        self.assertEqual(await self.read(reader), CONTENT[:1000])
        await self.piping.done


class BrokenOffTests(PipingTestCase):
    """The peer ends, and then resets the connection."""

    async def test_source_goes_on(self) -> None:
        """Nobody will get what it has."""
        source, _ = self.pipe()
        await self.begin(source, self.opened(os.devnull, os.O_WRONLY))
        await self.send(b"all")
        while self.piping.received < 3:
            await turns(1)
        self.reset()
        await self.broken("the peer ")

    async def check_sender(self, size: int) -> None:
        """The peer has read next to nothing, and its system cannot take all."""
        await self.begin(self.file_of(bytes(size)), self.opened(os.devnull, os.O_WRONLY))
        await self.receive(1000)
        await self.send(b"")
        await turns(20)
        self.reset()
        await self.broken("the peer ")

    async def test_not_everything(self) -> None:
        """Was sent, or was received: that is all with our system, the end, too."""
        await self.check_sender(100 * len(CONTENT))
        await self.check_sender(3 * len(CONTENT))
        self.assertEqual(self.piping.sent, 3 * len(CONTENT))


class ReaderLeavesTests(_Case):
    """The reader has read everything that has arrived so far."""

    async def begin_copied(self) -> None:
        """Nothing goes past the transport yet."""
        self.reader, self.sink = self.pipe()
        self.source, self.writer = self.pipe()
        await self.begin(self.source, self.sink)

    async def test_more_comes(self) -> None:
        await self.begin_copied()
        self.close(self.reader)
        await turns(3)
        await self.send(b"x", end=False)
        await self.broken("cannot write the data from the peer: broken pipe")

    async def test_we_go_on(self) -> None:
        """What we send does not need the reader."""
        await self.begin_copied()
        self.close(self.reader)
        await turns(3)
        await self.write(self.writer, b"x")
        self.assertEqual(await self.receive(), b"x")
        await turns(5)
        await self.send(b"")
        await self.piping.done

    async def test_not_everything_was_written(self) -> None:
        """Whether the end has come or not; copied, all of it is with the sink."""
        self.splicer = None
        for end in (True, False):
            await self.begin_copied()
            await self.send_some(end)
            await turns(3)
            self.close(self.reader)
            await self.broken("cannot write the data from the peer: broken pipe")

    async def test_leaves_while_the_shortcut_is_taken(self) -> None:
        """At whatever step."""
        for step in range(8):
            await self.begin_copied()
            self.peer.sendall(b"some")
            self.assertEqual(await self.read(self.reader, 4), b"some")
            await turns(step)
            self.close(self.reader)
            await turns(3)
            self.close(self.writer)
            await self.send(b"")
            await self.piping.done

    async def test_nothing_comes(self) -> None:
        self.patch(piping, "_END_COMES", 0.0)
        await self.begin_copied()
        self.close(self.reader)
        await self.broken("cannot write the data from the peer: broken pipe")


class DeliveredTests(PipingTestCase):
    """What is delivered, as far as the system reports it."""

    async def test_delivered(self) -> None:
        """All but what it holds; where it does not tell, or the connection has failed, all."""
        await self.begin(self.file_of(b"12345678"), self.opened("/dev/null", 1))
        self.assertEqual(await self.receive(8), b"12345678")
        self.assertEqual(self.piping.sent, 8)
        for held, expected in ((0, 8), (3, 5), (8, 0), (100, 0), (None, 8)):
            self.patch(piping, "undelivered", lambda transport, held=held: held)
            self.assertEqual(self.piping.delivered, expected)
        self.patch(piping, "undelivered", lambda transport: 0)
        await self.send(b"")
        await self.piping.done


class MovedTests(PipingTestCase):
    """The path of the connection changes."""

    async def test_told(self) -> None:
        """Whoever runs the stream is told."""
        await self.begin(self.null(), self.opened(os.devnull, os.O_WRONLY))
        self.assertTrue(IPathListener.providedBy(self.piping))
        self.assertEqual(self.moved, [])
        self.connection.is_relay = True
        self.piping.path_changed()
        self.assertEqual(self.moved, [True])
