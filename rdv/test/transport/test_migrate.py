"""Taking the socket out of a transport."""

from __future__ import annotations

import socket
import sys
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.ssl import TLSVersion
from twisted.internet.task import Clock
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import TestCase

from rdv._transport.handover import hand_over, migrate, one_protocol
from rdv.test.doubles import HalfCloseRecorder, HalfWire, ends
from rdv.test.sockets import REACTOR, open_descriptors, tcp_pair, turn
from rdv.test.transport.doubles import PROXY_HEADER, proxied, with_tls


class MigrateTests(TestCase):
    """A connection that was accepted by the reactor."""

    timeout = 30
    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    def setUp(self) -> None:
        self.client, self.server = tcp_pair()
        self.addCleanup(self.client.close)
        self.addCleanup(self.server.close)
        self.wire = HalfWire()

    def adopt(self, factory: IProtocolFactory) -> Any:
        """The transport of the connection."""

        class Taking(Factory):
            def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
                return factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))

        transport = REACTOR.adoptStreamConnection(self.server.fileno(), socket.AF_INET, Taking())
        self.server.close()
        return transport

    def plain(self) -> Any:
        """The transport, without anything round it."""
        return self.adopt(one_protocol(self.wire))

    def assert_goes_on(self, sock: socket.socket) -> None:
        """Both directions of the connection are as they were, once the reactor is out of it."""
        copy = sock.dup()
        before = open_descriptors()
        sock.close()
        self.assertEqual(open_descriptors(), before - 1)
        with copy:
            copy.settimeout(10)
            self.client.sendall(b"ping")
            self.assertEqual(copy.recv(4), b"ping")
            copy.sendall(b"pong")
            self.assertEqual(self.client.recv(4), b"pong")
        self.assertEqual(self.client.recv(1), b"")

    async def test_plain(self) -> None:
        transport = self.plain()
        self.assertIn(transport, REACTOR.getReaders())
        sock = migrate(transport)
        assert sock is not None
        self.assertNotIn(transport, REACTOR.getReaders())
        self.assertNotIn(transport, REACTOR.getWriters())
        self.client.sendall(b"x")  # is not read by the reactor
        await turn()
        self.assertEqual(sock.recv(1), b"x")
        self.assert_goes_on(sock)
        await turn()
        self.assertEqual((self.wire.data, self.wire.reason), (b"", None))

    def test_written_before(self) -> None:
        """It has left before the socket is given away."""
        transport = self.plain()
        transport.write(b"an earlier answer")
        sock = migrate(transport)
        assert sock is not None
        self.assertNotIn(transport, REACTOR.getWriters())
        self.assertEqual(self.client.recv(100), b"an earlier answer")
        self.assert_goes_on(sock)

    async def test_more_than_the_kernel_takes(self) -> None:
        """Then the transport is still needed, and goes on."""
        transport = self.plain()
        sent = bytes(1 << 24)
        transport.write(sent)
        self.assertIsNone(migrate(transport))
        left = len(sent)
        self.client.setblocking(False)
        while left:
            await turn()
            try:
                left -= len(self.client.recv(1 << 20))
            except BlockingIOError:
                continue
        transport.abortConnection()
        await self.wire.lost()

    async def test_reset(self) -> None:
        """The reactor tells."""
        transport = self.plain()
        transport.write(b"x")
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.client.close()
        self.assertIsNone(migrate(transport))
        await self.wire.lost()

    def test_behind_a_proxy(self) -> None:
        """What is left of the PROXY header's wrapper is not needed."""
        factory = cast(WrappingFactory[Any], proxied(one_protocol(self.wire)))
        below = self.adopt(factory)
        (wrapper,) = factory.protocols
        self.client.sendall(PROXY_HEADER)
        below.doRead()
        hand_over(wrapper, HalfWire())
        sock = migrate(wrapper)
        assert sock is not None
        self.assertEqual(list(factory.protocols), [])
        self.assertNotIn(below, REACTOR.getReaders())
        self.assert_goes_on(sock)

    async def test_other_wrapper(self) -> None:
        """Nobody knows what it does with the bytes. One in memory has no socket."""
        below = self.adopt(WrappingFactory(one_protocol(self.wire)))
        self.assertIsNone(migrate(cast(Any, self.wire).transport))
        self.assertIn(below, REACTOR.getReaders())
        below.abortConnection()
        await self.wire.lost()
        transport, _ = ends(Clock())
        transport.protocol = HalfCloseRecorder()
        self.assertIsNone(migrate(transport))

    async def test_tls(self) -> None:
        """Its state cannot be given away: neither Twisted's, nor ours."""
        factory = with_tls(one_protocol(self.wire), Clock(), False, TLSVersion.TLSv1_3)
        below = self.adopt(factory)
        self.assertIsNone(migrate(cast(Any, self.wire).transport))
        successor = HalfWire()
        hand_over(cast(Any, self.wire).transport, successor)
        self.assertIsNone(migrate(cast(Any, successor).transport))
        self.assertIn(below, REACTOR.getReaders())
        below.abortConnection()
        await successor.lost()
