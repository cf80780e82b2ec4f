"""Giving a transport from one protocol to another, and looking at its socket."""

from __future__ import annotations

import select
import socket
import struct
import sys

from twisted.internet.interfaces import IProtocol
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._system import sockets as handover
from rdv._system.sockets import (
    KEEPALIVE_COUNT,
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    RETRY_INTERVAL,
    linger,
    socket_of,
    tune,
    unread,
)
from rdv._transport.handover import hand_over, receive_from
from rdv._transport.liveness import INTERVAL, PATIENCE, TRIES
from rdv.test.doubles import CLIENT, HalfCloseRecorder, MemoryTransport, Recorder, ends, present
from rdv.test.sockets import Handle, tcp_pair
from rdv.test.transport.doubles import PROXY_HEADER, OneProtocol, proxied


class FirstProtocol(Recorder):
    """Gives its transport to another one as soon as it has received something."""

    def __init__(self, successor: IProtocol) -> None:
        super().__init__()
        self.successor = successor

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        assert self.transport is not None
        hand_over(self.transport, self.successor)


class HandOverTests(SynchronousTestCase):
    """``hand_over`` in the middle of a delivery, with and without a wrapper below."""

    #: What the client has to send before the first protocol hears anything.
    preamble = b""

    def setUp(self) -> None:
        self.clock = Clock()

    def wrap(self, protocol: IProtocol) -> IProtocol:
        """What the server's end has as its protocol."""
        return protocol

    def hand_over_to(self, successor: IProtocol) -> tuple[FirstProtocol, Recorder, MemoryTransport]:
        """The first protocol, after it was relieved, and the client with its transport."""
        first = FirstProtocol(successor)
        client = HalfCloseRecorder()
        at_server, at_client = ends(self.clock)
        at_server.protocol, at_client.protocol = self.wrap(first), client
        at_server.protocol.makeConnection(at_server)
        client.makeConnection(at_client)
        at_client.write(self.preamble + b"request")
        self.clock.advance(0)
        self.assertEqual(first.pieces, [b"request"])
        return first, client, at_client

    def test_data_both_ways(self) -> None:
        successor = HalfCloseRecorder()
        first, client, at_client = self.hand_over_to(successor)
        assert successor.transport is not None
        at_client.write(b"more")
        successor.transport.write(b"answer")
        self.clock.advance(0)
        self.assertEqual((successor.pieces, client.pieces), ([b"more"], [b"answer"]))
        self.assertEqual(first.pieces, [b"request"])

    def test_half_close_is_reported(self) -> None:
        successor = HalfCloseRecorder()
        _, client, at_client = self.hand_over_to(successor)
        at_client.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((successor.read_ended, successor.lost), (1, None))
        assert successor.transport is not None
        successor.transport.write(b"answer")
        successor.transport.loseWriteConnection()  # type: ignore[attr-defined]
        self.clock.advance(0)
        self.assertEqual((successor.write_ended, client.received), (1, b"answer"))

    def test_end(self) -> None:
        """It is the successor's, and the first one hears nothing of it."""
        successor = HalfCloseRecorder()
        first, _, _ = self.hand_over_to(successor)
        assert successor.transport is not None
        successor.transport.loseConnection()
        self.clock.advance(0)
        self.assertTrue(successor.lost_cleanly)
        self.assertIsNone(first.lost)

    def test_without_half_close(self) -> None:
        successor = Recorder()
        _, _, at_client = self.hand_over_to(successor)
        at_client.loseWriteConnection()
        self.clock.advance(0)
        self.assertTrue(successor.lost_cleanly)

    def test_twice(self) -> None:
        """From one with half-close to one without: the one in between hears no more."""
        between, last = HalfCloseRecorder(), Recorder()
        _, _, at_client = self.hand_over_to(between)
        assert between.transport is not None
        hand_over(between.transport, last)
        at_client.write(b"data")
        at_client.loseWriteConnection()
        self.clock.advance(0)
        self.assertEqual((last.pieces, between.pieces), ([b"data"], []))
        self.assertEqual(between.read_ended, 0)
        self.assertTrue(last.lost_cleanly)

    def test_receive_from_does_not_connect(self) -> None:
        successor, receiver = HalfCloseRecorder(), HalfCloseRecorder()
        _, _, at_client = self.hand_over_to(successor)
        assert successor.transport is not None
        receive_from(successor.transport, receiver)
        at_client.write(b"data")
        self.clock.advance(0)
        self.assertEqual((receiver.pieces, receiver.transport), ([b"data"], None))


class WrappedHandOverTests(HandOverTests):
    """The same with a wrapper of ``twisted.protocols.policies`` in between."""

    def wrap(self, protocol: IProtocol) -> IProtocol:
        return WrappingFactory(OneProtocol(protocol)).buildProtocol(CLIENT)


class ProxiedHandOverTests(HandOverTests):
    """The same behind a PROXY header."""

    preamble = PROXY_HEADER

    def wrap(self, protocol: IProtocol) -> IProtocol:
        return present(proxied(OneProtocol(protocol)).buildProtocol(CLIENT))


class Above:
    """A transport above another one."""

    def __init__(self, below: object) -> None:
        self.transport = below


class SocketTestCase(SynchronousTestCase):
    """Two connected sockets; :attr:`transport` is above one of them."""

    family: int = socket.AF_INET

    def setUp(self) -> None:
        is_tcp = self.family == socket.AF_INET
        self.near, self.far = tcp_pair() if is_tcp else socket.socketpair()
        self.addCleanup(self.far.close)
        self.addCleanup(self.near.close)
        self.near.setblocking(False)
        self.transport = Above(Above(Handle(self.near)))

    def until_readable(self) -> None:
        """Wait for the kernel."""
        self.assertTrue(select.select([self.near], [], [], 10)[0])


class UnreadTests(SocketTestCase):
    """``unread`` and ``socket_of``."""

    def test_socket_of(self) -> None:
        self.assertIs(socket_of(self.transport), self.near)
        self.assertIs(socket_of(Handle(self.near)), self.near)

    def test_in_memory(self) -> None:
        at_server, _ = ends(Clock())
        self.assertIsNone(socket_of(at_server))
        self.assertIsNone(unread(at_server))
        tune(at_server)
        linger(at_server, True)

    def test_silence(self) -> None:
        self.assertIsNone(unread(self.transport))

    def test_data_stays_unread(self) -> None:
        self.far.sendall(b"xyz")
        self.until_readable()
        self.assertEqual(unread(self.transport), b"x")
        self.assertEqual(unread(self.transport), b"x")
        self.assertEqual(self.near.recv(10), b"xyz")
        self.assertIsNone(unread(self.transport))

    def test_end(self) -> None:
        self.far.shutdown(socket.SHUT_WR)
        self.until_readable()
        self.assertEqual(unread(self.transport), b"")

    def test_reset(self) -> None:
        linger(Handle(self.far), True)
        self.far.close()
        self.until_readable()
        self.assertEqual(unread(self.transport), b"")

    def test_data_before_the_end(self) -> None:
        self.far.sendall(b"x")
        self.far.close()
        self.until_readable()
        self.assertEqual(unread(self.transport), b"x")


class OptionTests(SocketTestCase):
    """``tune`` and ``linger`` on a TCP socket."""

    def option(self, name: str) -> int:
        return self.near.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    def test_keep_alive(self) -> None:
        self.assertFalse(self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertFalse(self.option("TCP_NODELAY"))
        tune(self.transport)
        self.assertTrue(self.option("TCP_NODELAY"))
        self.assertTrue(self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertEqual(self.option("TCP_KEEPIDLE"), KEEPALIVE_IDLE)
        self.assertEqual(self.option("TCP_KEEPINTVL"), KEEPALIVE_INTERVAL)
        self.assertEqual(self.option("TCP_KEEPCNT"), KEEPALIVE_COUNT)

    def test_soon_enough(self) -> None:
        """Before a NAT forgets (60 s at the soonest), and known to be dead within two minutes."""
        self.assertLess(KEEPALIVE_IDLE, 60)
        self.assertLessEqual(KEEPALIVE_IDLE + KEEPALIVE_COUNT * KEEPALIVE_INTERVAL, 120)
        # Likewise when it has stopped reading before, and while something is in flight.
        self.assertLess(TRIES * RETRY_INTERVAL, PATIENCE)
        self.assertLess(PATIENCE + 2 * INTERVAL, 120)

    def test_retries(self) -> None:
        """A reader who stalls is asked for room often enough to notice that he has gone."""
        if sys.platform != "linux":
            return
        option = (socket.IPPROTO_TCP, 44)  # TCP_RTO_MAX_MS
        try:
            before = self.near.getsockopt(*option)
        except OSError:
            self.skipTest("this kernel has no limit")
        tune(self.transport)
        self.assertEqual((before, self.near.getsockopt(*option)), (120_000, 30_000))

    def test_retries_of_an_old_kernel(self) -> None:
        """Nothing else is lost."""
        self.patch(handover, "_TCP_RTO_MAX_MS", 9999)
        tune(self.transport)
        self.assertEqual(self.option("TCP_KEEPCNT"), KEEPALIVE_COUNT)

    def test_linger(self) -> None:
        for reset in (True, False):
            linger(self.transport, reset)
            option = self.near.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            self.assertEqual(struct.unpack("ii", option), (int(reset), 0))


class LingerTests(SynchronousTestCase):
    """How a connection of Twisted is closed when its reactor stops."""

    def closed(self, reset: bool, ended: bool) -> socket.socket:
        """The other end of one that was closed, after that end had ended or not."""
        near, far = tcp_pair()
        self.addCleanup(far.close)
        transport = Connection(near, Protocol(), MemoryReactor())
        linger(transport, reset)
        if ended:
            far.shutdown(socket.SHUT_WR)
            self.assertEqual(near.recv(1), b"")
        transport.connectionLost(Failure(CONNECTION_LOST))
        return far

    def test_reset(self) -> None:
        """Nobody sees an end."""
        for ended in (False, True):
            self.assertRaises(ConnectionResetError, self.closed(True, ended).recv, 1)

    def test_end(self) -> None:
        for ended in (False, True):
            self.assertEqual(self.closed(False, ended).recv(1), b"")


class UnixSocketTests(SocketTestCase):
    """A server may listen on a UNIX socket: nothing to keep alive there, and no error."""

    family: int = socket.AF_UNIX

    def test_keep_alive(self) -> None:
        tune(self.transport)
        self.assertFalse(self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_unread(self) -> None:
        self.assertIsNone(unread(self.transport))
        self.far.close()
        self.assertEqual(unread(self.transport), b"")
