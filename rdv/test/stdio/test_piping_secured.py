"""
The end of a secured stream: the messages of both sides count, not the ends of TCP.
"""

from __future__ import annotations

import os

from twisted.internet.task import deferLater

from rdv._secure.exchange import SecureAttempt
from rdv._secure.path import Event, SecurePath, Signal
from rdv._secure.secret import Secret
from rdv._stdio import piping
from rdv.test.doubles import present
from rdv.test.sockets import REACTOR, turns
from rdv.test.stdio.doubles import PipingTestCase
from rdv.wire import Role

#: Bytes of a record around its contents; of one with READY or DONE, and of one with END.
_RECORD, _CONTROL, _END = 22, 23, 24
#: More than a sink keeps without stopping its producer; and a little more than a pipe holds.
SIZES = ((300_000,), (65_536, 1000))


class SecuredTests(PipingTestCase):
    """
    The stream is the acceptor.

    :ivar path: the peer's.
    """

    path: SecurePath

    async def begin_secured(self, source: int, sink: int) -> None:
        """Connect, and hear READY."""
        secret = Secret.generate()
        ours, theirs = (
            SecureAttempt(role, secret).exchange(is_relay=False)
            for role in (Role.ACCEPTOR, Role.DIALER)
        )
        await self.begin(source, sink, exchanges=(ours, theirs))
        self.path = present(theirs.path)
        self.assertEqual(await self.heard(_CONTROL), [Signal.READY])

    def say(self, *sealed: list[bytes]) -> None:
        """The peer sends records."""
        self.peer.sendall(b"".join(part for parts in sealed for part in parts))

    async def heard(self, size: int | None = None) -> list[Event]:
        """What is in so many bytes that the peer gets."""
        return list(self.path.receive(await self.receive(size)))

    async def test_delivered(self) -> None:
        """Of a stream that moves, what is still on the path that it leaves is not there yet."""
        source, writer = self.pipe()
        await self.begin_secured(source, self.opened(os.devnull, os.O_WRONLY))
        os.write(writer, b"x" * 10)
        await self.heard(_RECORD + 10)
        left, taken = object(), object()
        self.patch(self.connection.transport, "carriers", lambda: [left, taken])
        self.patch(piping, "undelivered", {left: 3, taken: 4}.__getitem__)
        self.assertEqual((self.piping.sent, self.piping.delivered), (10, 3))
        self.patch(piping, "undelivered", {left: None, taken: 4}.__getitem__)
        self.assertEqual(self.piping.delivered, 6)

    async def test_peer_closes_first(self) -> None:
        """A peer that has everything, and knows that we have, closes; nothing broke."""
        self.patch(piping, "_NEARLY_DONE", 3600.0)  # no look comes before that
        self.patch(piping, "_STILL_SENDING", 3600.0)
        await self.begin_secured(self.file_of(b"hello"), self.opened(os.devnull, os.O_WRONLY))
        data, *end = await self.heard(_RECORD + len(b"hello") + _END)
        self.assertEqual((bytes(data), end), (b"hello", [Signal.END]))  # type: ignore[arg-type]
        self.say(self.path.say(Signal.DONE), self.path.say(Signal.END))
        self.assertEqual(await self.heard(), [Signal.DONE])
        await self.piping.done

    async def test_peer_is_lost_before_it_has_everything(self) -> None:
        """Its system has acknowledged everything, and it has ended: that is no receipt."""
        for close in (self.reset, lambda: self.peer.close()):
            await self.begin_secured(self.file_of(b"x"), self.opened(os.devnull, os.O_WRONLY))
            await self.heard(_RECORD + 1)
            self.say(self.path.say(Signal.END))
            await turns(50)
            self.assertFalse(self.piping.done.called)
            close()
            await self.broken("the peer ")

    async def check_waits_for_the_reader(self, content: bytes, *sizes: int) -> None:
        """The reader takes nothing until the peer has waited; its own end does not matter."""
        reader, sink = self.pipe()
        await self.begin_secured(self.file_of(content), sink)
        if content:
            await self.heard(_RECORD + len(content) + _END)
        for size in sizes:
            self.say(self.path.seal(bytes(size)))
            await turns(20)
        self.say(self.path.say(Signal.END))
        await deferLater(REACTOR, 0.1)  # more than it takes to hear that
        self.peer.setblocking(False)
        self.assertRaises(BlockingIOError, self.peer.recv, 1)
        self.peer.setblocking(True)
        received = self.read(reader)
        rest = _CONTROL if content else _CONTROL + _END
        self.assertIn(Signal.DONE, await self.heard(rest))
        self.assertEqual(await received, bytes(sum(sizes)))
        self.say(self.path.say(Signal.DONE))
        await self.piping.done

    async def test_peer_waits_for_the_reader(self) -> None:
        """DONE says that all is written, not that all has come."""
        for sizes in SIZES:
            for content in (b"", b"x"):
                await self.check_waits_for_the_reader(content, *sizes)

    async def test_sink_fails(self) -> None:
        """Behind the last byte, too: the peer gets no receipt."""
        await self.begin_secured(self.null(), self.opened("/dev/full", os.O_WRONLY))
        self.say(self.path.seal(b"x"), self.path.say(Signal.END))
        await self.broken("cannot write the data from the peer: no space left on device")
        with self.assertRaises(ConnectionResetError):
            await self.receive()
