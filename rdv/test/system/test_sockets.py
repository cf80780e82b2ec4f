"""
Finding the socket below a transport, querying it, and setting its options.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import unittest
from typing import Any, cast

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv._system import sockets
from rdv._system.sockets import (
    KEEPALIVE_COUNT,
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    RETRY_INTERVAL,
    flush,
    has_shut_down,
    limit_unsent,
    linger,
    push,
    socket_of,
    tune,
    tune_port,
    tune_port_of,
    unread,
)
from rdv._system.tcp_info import undelivered
from rdv._transport.handover import one_protocol
from rdv._transport.liveness import INTERVAL, PATIENCE, TRIES
from rdv.test.doubles import CLIENT, Recorder, ends
from rdv.test.sockets import REACTOR, Handle, tcp_pair, until


class Above:
    """A transport above another one."""

    def __init__(self, below: object) -> None:
        self.transport = below


class SocketTestCase(SynchronousTestCase):
    """Two connected sockets; :attr:`transport` is above one of them."""

    def setUp(self) -> None:
        self.near, self.far = self.pair()
        self.addCleanup(self.far.close)
        self.addCleanup(self.near.close)
        self.near.setblocking(False)
        self.transport = Above(Above(Handle(self.near)))

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both."""
        return tcp_pair()


class UnreadTests(SocketTestCase):
    """``unread`` and ``socket_of``."""

    def unread(self) -> bytes | None:
        """What there is, once the kernel has something."""
        self.assertTrue(select.select([self.near], [], [], 10)[0])
        return unread(self.transport)

    def test_in_memory(self) -> None:
        at_server, _ = ends(Clock())
        self.assertIsNone(socket_of(at_server))
        self.assertIsNone(unread(at_server))
        tune(at_server)
        linger(at_server, True)

    def test_data_before_the_end(self) -> None:
        """It stays unread."""
        self.assertIs(socket_of(self.transport), self.near)
        self.assertIsNone(unread(self.transport))
        self.far.sendall(b"xyz")
        self.assertEqual((self.unread(), self.unread()), (b"x", b"x"))
        self.far.close()
        self.assertEqual(self.unread(), b"x")
        self.assertEqual(self.near.recv(10), b"xyz")
        self.assertEqual(self.unread(), b"")

    def test_reset(self) -> None:
        linger(Handle(self.far), True)
        self.far.close()
        self.assertEqual(self.unread(), b"")


class OptionTests(SocketTestCase):
    """``tune`` and ``linger`` on a TCP socket."""

    def option(self, name: str) -> int:
        return self.near.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    def test_keep_alive(self) -> None:
        """Nothing of it is lost where the kernel has no limit for its retries."""
        self.patch(sockets, "_TCP_RTO_MAX_MS", 9999)
        self.assertFalse(self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertFalse(self.option("TCP_NODELAY"))
        tune(self.transport)
        self.assertTrue(self.option("TCP_NODELAY"))
        self.assertTrue(self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        wanted = (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
        self.assertEqual(tuple(map(self.option, names)), wanted)

    def test_soon_enough(self) -> None:
        """Before a NAT forgets (60 s at the soonest), and known to be dead within two minutes."""
        self.assertLess(KEEPALIVE_IDLE + 5 * KEEPALIVE_INTERVAL, 60)  # even if some are lost
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

    def test_unsent(self) -> None:
        """How much the system takes in advance, and its own limit again."""
        before = self.option("TCP_NOTSENT_LOWAT")
        limit_unsent(self.transport, 1 << 17)
        self.assertEqual(self.option("TCP_NOTSENT_LOWAT"), 1 << 17)
        limit_unsent(self.transport, 0)
        self.assertEqual(self.option("TCP_NOTSENT_LOWAT"), before)
        limit_unsent(object(), 1 << 17)  # in memory, or lost

    def test_linger(self) -> None:
        for reset in (True, False):
            linger(self.transport, reset)
            option = self.near.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            self.assertEqual(struct.unpack("ii", option), (int(reset), 0))


@unittest.skipUnless(sys.platform == "linux", "elsewhere each connection is tuned")
class PortTests(TestCase):
    """``tune_port``."""

    options = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        *((socket.IPPROTO_TCP, option) for option in range(1, 64)),
    )
    #: What every connection has for itself: segment sizes, TCP_INFO and the like.
    varying = (2, 11, 12, 24, 26)

    def setUp(self) -> None:
        self.clients: list[socket.socket] = []

    def tearDown(self) -> None:
        for client in self.clients:
            client.close()

    async def accepted(self, is_tuned: bool, *, later: bool = False) -> Any:
        """
        A connection from a port: the server's end.

        :param later: whether the port was tuned when the client was there already.
        """
        protocol = Protocol()
        port = REACTOR.listenTCP(0, one_protocol(protocol), interface="127.0.0.1")
        if is_tuned and not later:
            tune_port(port)
        self.clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
        if later:
            tune_port(port)
        await until(lambda: protocol.transport)
        await port.stopListening()
        return protocol.transport

    def values(self, transport: Any) -> list[object]:
        """Of all options, or why it has none."""
        values: list[object] = []
        for level, option in self.options:
            try:
                value = transport.getHandle().getsockopt(level, option, 8)
            except OSError as error:
                value = error.errno
            varies = level == socket.IPPROTO_TCP and option in self.varying
            values.append((level, option, None if varies else value))
        return values

    async def test_inherited(self) -> None:
        """Its connections have whatever they would be given one by one, and are not given it."""
        plain, tuned = [await self.accepted(is_tuned) for is_tuned in (False, True)]
        self.assertNotEqual(self.values(plain), self.values(tuned))
        tune(plain)
        self.assertEqual(self.values(plain), self.values(tuned))
        self.patch(sockets, "_set_options", self.fail)
        tune(tuned)
        await self.leave(plain, tuned)

    async def test_by_a_connection(self) -> None:
        """The first one tells which port; the later ones cost nothing."""
        protocols = [Protocol() for _ in range(2)]
        factory: Any = Factory()
        factory.noisy, factory.buildProtocol = False, lambda addr: protocols[len(self.clients) - 1]
        port = REACTOR.listenTCP(0, factory, interface="127.0.0.1")
        for protocol in protocols:
            self.clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
            await until(lambda: protocol.transport)  # noqa: B023
            tune_port_of(cast(Any, protocol.transport))
            self.patch(sockets, "_set_options", self.fail)
        await port.stopListening()
        first, second = [each.transport for each in protocols]
        self.assertNotEqual(self.values(first), self.values(second))
        tune(second)
        await self.leave(first, second)

    async def test_closed_port(self) -> None:
        """One whose port has closed meanwhile gets its own options; the port gets none."""
        plain = await self.accepted(is_tuned=False)
        tune_port_of(plain)
        tune(plain)
        tuned = await self.accepted(is_tuned=True)
        self.assertEqual(self.values(plain), self.values(tuned))
        await self.leave(plain, tuned)

    async def test_port_that_listens_again(self) -> None:
        """It has another socket: a connection gets its own options until that has them, too."""
        protocols = [Protocol() for _ in range(3)]
        factory: Any = Factory()
        factory.noisy, factory.buildProtocol = False, lambda addr: protocols[len(self.clients) - 1]
        port: Any = REACTOR.listenTCP(0, factory, interface="127.0.0.1")
        tune_port(port)
        for protocol in protocols:
            self.clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
            await until(lambda: protocol.transport)  # noqa: B023
            tune(protocol.transport)
            if protocol is protocols[0]:
                await port.stopListening()
                port.startListening()
            else:
                tune_port_of(cast(Any, protocol.transport))
        await port.stopListening()
        transports = [each.transport for each in protocols]
        first, *others = map(self.values, transports)
        self.assertEqual(others, [first, first])
        self.patch(sockets, "_set_options", self.fail)
        tune(transports[2])
        await self.leave(*transports)

    async def test_in_the_queue(self) -> None:
        """Who was there before the port had them is given them."""
        plain, early = [await self.accepted(later, later=later) for later in (False, True)]
        for transport in (plain, early):
            tune(transport)
        self.assertEqual(self.values(plain), self.values(early))
        await self.leave(plain, early)

    async def test_behind_the_queue(self) -> None:
        """
        Those behind the first one that has inherited them are not looked at, and those before it
        are, whoever of them comes first: the numbers that Twisted gives tell.
        """
        accepted: list[Protocol] = []

        def build(addr: object) -> Protocol:
            accepted.append(Protocol())
            return accepted[-1]

        factory: Any = Factory()
        factory.noisy, factory.buildProtocol = False, build
        port = REACTOR.listenTCP(0, factory, interface="127.0.0.1")
        for number in range(4):
            self.clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
            if number == 1:
                tune_port(port)
        await until(lambda: len(accepted) == 4)
        await port.stopListening()
        early, other, late, last = [cast(Any, each.transport) for each in accepted]
        for each in (late, early, other):
            tune(each)
            self.assertEqual(self.values(each), self.values(late))
        self.patch(sockets, "_set_options", self.fail)
        last.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        tune(last)  # it would be given them if it were asked
        await self.leave(early, other, late, last)

    async def leave(self, *transports: Any) -> None:
        """All clients close."""
        for client in self.clients:
            client.close()
        await until(lambda: not any(each.connected for each in transports))


class UnixSocketTests(SocketTestCase):
    """A server may listen on a UNIX socket: nothing to keep alive there, and no error."""

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return socket.socketpair()

    def test_unix(self) -> None:
        tune(self.transport)
        self.assertFalse(self.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertIsNone(unread(self.transport))
        self.far.close()
        self.assertEqual(unread(self.transport), b"")


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

    def test_reset_or_end(self) -> None:
        """Behind a reset nobody sees an end."""
        for ended in (False, True):
            self.assertRaises(ConnectionResetError, self.closed(True, ended).recv, 1)
            self.assertEqual(self.closed(False, ended).recv(1), b"")

    def test_shut_down_once(self) -> None:
        """Not again behind its own end, which the kernel has."""
        near, far = tcp_pair()
        self.addCleanup(far.close)
        near.setblocking(False)
        transport: Any = Connection(near, Recorder(), MemoryReactor())
        transport.connected = True
        linger(transport, False)
        self.assertFalse(has_shut_down(transport))
        self.assertTrue(transport._shouldShutdown)
        transport.loseWriteConnection()
        self.assertFalse(has_shut_down(transport))
        transport.doWrite()
        self.assertTrue(has_shut_down(transport))
        self.assertEqual(far.recv(1), b"")
        far.sendall(b"more")
        linger(transport, False)
        self.patch(socket.socket, "shutdown", lambda *how: self.fail())
        self.assertEqual(near.recv(4), b"more")
        transport.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(near.fileno(), -1)


class FlushTests(SynchronousTestCase):
    """``push`` and ``flush``."""

    def test_closing(self) -> None:
        """One that is to close behind what was written does so, and the reactor learns of it."""
        for each in (flush, push):
            near, far = tcp_pair()
            self.addCleanup(far.close)
            self.addCleanup(near.close)
            near.setblocking(False)
            reactor = MemoryReactor()
            transport: Any = Connection(near, Recorder(), reactor)
            transport.connected = True
            transport.write(b"the rest")
            transport.loseConnection()
            self.assertFalse(each(transport))
            self.assertEqual(far.recv(100), b"the rest")
            self.assertEqual(reactor.getWriters(), [transport])
            self.assertIsInstance(transport.doWrite(), ConnectionDone)


class LostTransportTests(SynchronousTestCase):
    """A Twisted transport that has lost its connection, while other code still uses it."""

    def test_lost(self) -> None:
        """There is nothing to be done then, and no error; under a wrapper neither."""
        for reason in (ConnectionDone(), ConnectionLost()):
            near, far = socket.socketpair()
            self.addCleanup(far.close)
            transport: Any = Connection(near, Recorder(), MemoryReactor())
            wrapper = WrappingFactory(one_protocol(Recorder())).buildProtocol(CLIENT)
            wrapper.makeConnection(transport)
            self.assertIs(socket_of(wrapper), near)
            transport.connectionLost(Failure(reason))
            for each in (transport, wrapper):
                self.assertIsNone(socket_of(each))
                self.assertIsNone(unread(each))
                self.assertEqual(undelivered(each), 0)
                tune(each)
                linger(each, True)
