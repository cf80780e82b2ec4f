"""
Two connections joined, on real sockets: the kernel moves the bytes, and nothing is left over.
"""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.http_headers import Headers

from rdv._flows.kernel.takeover import SplicedFlow, Splicer
from rdv._system.sockets import bottom, linger
from rdv._transport.handover import one_protocol
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
from rdv.forwarding.forward import Forward
from rdv.test.doubles import present
from rdv.test.sockets import REACTOR, Handle, descriptors, tcp_pair, turns
from rdv.test.stdio.doubles import read_all, write_all
from rdv.wire import Role, confirm_line, hello_line

MEBI = 1 << 20


class SocketsTestCase(TestCase):
    """
    A joint; the test has the other ends.

    :ivar local, peer: the other ends.
    """

    timeout = 60
    #: Of the local connection.
    family = socket.AF_INET

    async def begin(self) -> None:
        """Join the two."""
        await self.begin_with_local()
        await self.peer_comes()

    async def begin_with_local(self) -> None:
        """There is a local connection only."""
        splicer = Splicer.for_reactor(global_reactor)
        if splicer is None:
            raise SkipTest("this reactor cannot watch descriptors")
        self.splicer = splicer
        self.forward = Forward(REACTOR, splicer)
        self.addCleanup(self.look_for_rests)
        near, self.local = self.local_pair()
        self.addCleanup(self.local.close)
        adopt(near, self.forward.near)

    async def peer_comes(self) -> None:
        """And the other one."""
        far, self.peer = tcp_pair()
        self.addCleanup(self.peer.close)
        candidate = Candidate(Clock(), Role.ACCEPTOR, b"token")
        shaken = candidate.shaken()
        adopt(far, candidate)
        self.peer.sendall(confirm_line(b"token"))
        await shaken
        hello = hello_line(b"token")
        self.assertEqual(await self.receive(self.peer, len(hello)), hello)
        Connection(candidate, None, Headers()).attach(self.forward.far)

    def local_pair(self) -> tuple[socket.socket, socket.socket]:
        """Ours and the local program's."""
        return tcp_pair() if self.family == socket.AF_INET else socket.socketpair()

    async def request_and_answer(self) -> None:
        """What came before the peer, and was read by nobody, goes through."""
        await turns(5)
        self.assertFalse(self.forward.done.called)
        await self.peer_comes()
        self.assertEqual(await self.receive(self.peer), b"request")
        self.peer.sendall(b"answer")
        self.peer.shutdown(socket.SHUT_WR)

    async def look_for_rests(self) -> None:
        """Whatever state it is in, it leaves nothing."""
        self.forward.abort("the test is over")
        await self.forward.done
        self.splicer.pipes.close()
        left = self.splicer.pipes.taken, len(self.splicer.watcher), len(self.splicer.batching)
        self.assertEqual(left, (0, 0, 0))

    def receive(self, sock: socket.socket, size: int | None = None) -> Deferred[bytes]:
        """So many bytes, or all to the end."""
        return deferToThread(read_all, sock.fileno(), size)

    async def pass_on(self, source: socket.socket, sink: socket.socket, data: bytes) -> None:
        """Let it go from one end to the other."""
        sending = deferToThread(write_all, source.fileno(), data)
        self.assertEqual(await self.receive(sink, len(data)), data)
        await sending

    async def both_ways(self) -> None:
        """A byte each way, and then much."""
        await self.pass_on(self.local, self.peer, b"a")
        await turns(3)
        for flow in self.flows():
            self.assertIsInstance(flow, SplicedFlow)
        await self.pass_on(self.peer, self.local, b"b")
        await self.pass_on(self.local, self.peer, b"there" * MEBI)
        await self.pass_on(self.peer, self.local, b"back" * MEBI)
        self.assertEqual((self.forward.sent, self.forward.received), (1 + 5 * MEBI, 1 + 4 * MEBI))

    def flows(self) -> tuple[object, object]:
        """What moves the bytes, to the peer and back."""
        return present(self.forward._joint).flows

    async def assert_reset(self, sock: socket.socket) -> None:
        """What is read there is neither bytes nor an end."""
        with self.assertRaises(ConnectionResetError):
            await self.receive(sock, 1)


class TCPTests(SocketsTestCase):
    """A local program on a port."""

    async def test_ends(self) -> None:
        """Each direction for itself."""
        await self.begin()
        await self.both_ways()
        self.local.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.receive(self.peer), b"")
        await self.pass_on(self.peer, self.local, b"more" * MEBI)
        self.peer.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.receive(self.local), b"")
        await self.forward.done
        self.assertIsNone(self.forward.broken)

    async def test_closing_in_good_order(self) -> None:
        """Who dies before that resets a socket; what is on its way by then is not cut."""
        await self.begin()
        options: list[bytes] = []
        for leg in (self.forward.near, self.forward.far):
            lowest: Any = bottom(leg.transport)
            option = lowest.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            self.assertEqual(option, b"\1\0\0\0\0\0\0\0")
            lowest.loseConnection = partial(self.close_noting, lowest, options)
        for sock in (self.local, self.peer):
            sock.shutdown(socket.SHUT_WR)
        await self.forward.done
        self.assertEqual(options, [bytes(8)] * 2)

    def close_noting(self, transport: Any, options: list[bytes]) -> None:
        """As ``loseConnection``; note whether closing the socket would reset it."""
        sock = transport.getHandle()
        options.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        type(transport).loseConnection(transport)

    async def test_end_with_the_first_bytes(self) -> None:
        """One direction has ended when the kernel takes over the other one."""
        await self.begin()
        self.local.sendall(b"question")
        self.local.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.receive(self.peer), b"question")
        await self.pass_on(self.peer, self.local, b"answer" * MEBI)
        self.assertIsInstance(self.flows()[1], SplicedFlow)
        self.peer.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.receive(self.local), b"")
        await self.forward.done
        self.assertIsNone(self.forward.broken)
        self.assertEqual((self.forward.sent, self.forward.received), (8, 6 * MEBI))

    async def test_peer_lost(self) -> None:
        """The local program sees a reset."""
        await self.begin()
        await self.both_ways()
        linger(Handle(self.peer), True)
        self.peer.close()
        await self.forward.done
        await self.assert_reset(self.local)
        self.assertIsNotNone(self.forward.broken)

    async def test_local_leaves_before_the_peer_comes(self) -> None:
        """A reset is noticed at once, also behind bytes."""
        for sent in (b"", b"request"):
            await self.begin_with_local()
            self.local.sendall(sent)
            await turns(5)
            self.assertFalse(self.forward.done.called)
            linger(Handle(self.local), True)
            self.local.close()
            await self.forward.done
            self.assertEqual(self.forward.broken, "the local program disconnected")

    async def test_half_close_before_the_peer_comes(self) -> None:
        """Somebody waits for an answer."""
        await self.begin_with_local()
        self.local.sendall(b"request")
        self.local.shutdown(socket.SHUT_WR)
        await self.request_and_answer()
        self.assertEqual(await self.receive(self.local), b"answer")
        await self.forward.done
        self.assertIsNone(self.forward.broken)


class UnixTests(SocketsTestCase):
    """A local program on a Unix socket."""

    family = socket.AF_UNIX

    async def test_peer_lost(self) -> None:
        """The local connection is closed, which is all that a Unix socket can tell."""
        await self.begin()
        await self.both_ways()
        linger(Handle(self.peer), True)
        self.peer.close()
        await self.forward.done
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(await self.receive(self.local), b"")

    async def test_local_leaves_before_the_peer_comes(self) -> None:
        await self.begin_with_local()
        await turns(5)
        self.assertFalse(self.forward.done.called)
        self.local.close()
        await self.forward.done
        self.assertEqual(self.forward.broken, "the local program disconnected")

    async def test_local_has_said_all_before_the_peer_comes(self) -> None:
        """It counts on delivery, even if it does not wait for an answer."""
        await self.begin_with_local()
        self.local.sendall(b"request")
        self.local.close()
        await self.request_and_answer()

    async def test_local_gone(self) -> None:
        """The peer sends to somebody who has closed: the connection is no more."""
        await self.begin()
        await self.both_ways()
        self.local.close()
        self.assertEqual(await self.receive(self.peer), b"")
        self.peer.sendall(b"is there anybody?")
        await self.forward.done
        self.assertIsNotNone(self.forward.broken)
        with self.assertRaises(BrokenPipeError):
            self.peer.sendall(b"it seems not")

    async def test_descriptors(self) -> None:
        """None is left when it has ended."""
        await turns(1)  # a reactor that begins to run opens some
        before = descriptors()
        await self.begin()
        await self.both_ways()
        self.forward.abort("interrupted")
        await self.forward.done
        self.splicer.pipes.close()
        self.local.close()
        self.peer.close()
        self.assertEqual(descriptors(), before)


def adopt(sock: socket.socket, protocol: IProtocol) -> None:
    """Make a transport of a socket."""
    sock.setblocking(False)
    with sock:
        REACTOR.adoptStreamConnection(sock.fileno(), sock.family, one_protocol(protocol))
