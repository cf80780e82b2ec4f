"""
A stream between two descriptors and a peer that is a plain socket, over loopback.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.http_headers import Headers

from rdv._flows.kernel.takeover import Splicer
from rdv._flows.sinks import open_sink
from rdv._flows.sources import open_source
from rdv._secure.exchange import Exchange
from rdv._stdio.piping import Piping, StreamBroken
from rdv._system.sockets import linger
from rdv._transport.handover import one_protocol
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
from rdv.test.sockets import REACTOR, Handle, tcp_pair, turn
from rdv.wire import Role

_TOKEN = b"token"


class PipingTestCase(TestCase):
    """
    One stream; the test has the other ends of everything.

    :ivar splicer: the one that it gets.
    :ivar peer: the peer's socket.
    :ivar piping: the stream, once :meth:`begin` has been called.
    :ivar moved: for each reported change of the path, whether the new one is the relay.
    """

    timeout = 60
    piping: Piping

    def setUp(self) -> None:
        self._fds: set[int] = set()
        self.moved: list[bool] = []
        self.addCleanup(self._close_all)
        self.splicer = Splicer.for_reactor(REACTOR)
        assert self.splicer is not None
        self.addCleanup(self._look_for_rests, self.splicer)

    async def begin(
        self,
        source: int,
        sink: int,
        *,
        interactive: bool = False,
        exchanges: tuple[Exchange, Exchange] | None = None,
    ) -> None:
        """
        Connect, and let bytes move between the peer and two descriptors.

        :param exchanges: what the stream says and hears first, and what the peer does.
        """
        ours, theirs = exchanges or (Exchange(Role.ACCEPTOR, _TOKEN), Exchange(Role.DIALER, _TOKEN))
        near, self.peer = tcp_pair()
        self.addCleanup(self.peer.close)
        candidate = Candidate(Clock(), Role.ACCEPTOR, _TOKEN, exchange=ours)
        shaken = candidate.shaken()
        near.setblocking(False)
        with near:
            REACTOR.adoptStreamConnection(near.fileno(), socket.AF_INET, one_protocol(candidate))
        self.assertEqual(theirs.feed(await self.receive(len(ours.hello))), b"")
        self.peer.sendall(theirs.confirm())
        await shaken
        self.connection = Connection(candidate, None, Headers())
        self.piping = Piping(
            REACTOR,
            open_source(REACTOR, source),
            open_sink(REACTOR, sink),
            interactive=interactive,
            splicer=self.splicer,
            moved=lambda: self.moved.append(self.connection.is_relay),
        )
        self.addCleanup(self._cut, self.piping)
        self.connection.attach(self.piping)

    def _close_all(self) -> None:
        for fd in self._fds:
            os.close(fd)

    def _look_for_rests(self, splicer: Splicer) -> None:
        splicer.pipes.close()
        self.assertEqual(
            (splicer.pipes.taken, len(splicer.watcher), len(splicer.batching)), (0,) * 3
        )

    async def _cut(self, piping: Piping) -> None:
        """Whatever state it is in, let it end."""
        if not piping.done.called:
            piping.done.addErrback(lambda _: None)
            piping.done.cancel()
        await turn()

    def handle(self) -> socket.socket:
        """The stream's own end of the connection."""
        handle = self.connection.getHandle()
        assert isinstance(handle, socket.socket)
        return handle

    # What the peer does.

    def send(self, data: bytes, end: bool = True) -> Deferred[None]:
        """The peer sends all that, and by default its end."""
        return deferToThread(self._send, data, end)

    def _send(self, data: bytes, end: bool) -> None:
        self.peer.sendall(data)
        if end:
            self.peer.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """The peer's system breaks the connection."""
        linger(Handle(self.peer), True)
        self.peer.close()

    def receive(self, size: int | None = None) -> Deferred[bytes]:
        """What the peer gets: so many bytes, or all to the end."""
        return self.read(self.peer.fileno(), size)

    # Descriptors.

    def opened(self, path: str | Path, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a file."""
        return self.keep(os.open(path, flags, 0o600))

    def keep(self, fd: int) -> int:
        """Close ``fd`` when the test is over, if :meth:`close` is not called before."""
        self._fds.add(fd)
        return fd

    def close(self, fd: int) -> None:
        """Close it now."""
        self._fds.remove(fd)
        os.close(fd)

    async def write(self, fd: int, data: bytes) -> None:
        """Write all that, then close it."""
        await deferToThread(write_all, fd, data)
        self.close(fd)

    def read(self, fd: int, size: int | None = None) -> Deferred[bytes]:
        """Read so many bytes, or all to the end."""
        return deferToThread(read_all, fd, size)

    def file_of(self, content: bytes) -> int:
        """A file to be read."""
        path = self.mktemp()
        Path(path).write_bytes(content)
        return self.opened(path)

    def pipe(self) -> tuple[int, int]:
        """A pipe: its read end and its write end."""
        reader, writer = os.pipe()
        return self.keep(reader), self.keep(writer)

    def sockets(self) -> tuple[int, int]:
        """Two connected sockets."""
        one, other = socket.socketpair()
        return self.keep(one.detach()), self.keep(other.detach())

    def null(self) -> int:
        """A source that has nothing."""
        return self.opened(os.devnull)

    async def broken(self, reason: str) -> None:
        """The stream breaks, for that reason."""
        try:
            await self.piping.done
        except StreamBroken as error:
            self.assertRegex(str(error), f"^the stream broke: {reason}")
        else:
            self.fail("it has ended well")


def read_all(fd: int, size: int | None = None) -> bytes:
    """Read so many bytes from a blocking descriptor, or all to the end."""
    data = bytearray()
    while size is None or len(data) < size:
        piece = os.read(fd, 1 << 16 if size is None else min(1 << 16, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def write_all(fd: int, data: bytes) -> None:
    """Write to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
