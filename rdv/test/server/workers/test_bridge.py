"""
A connection on loopback in place of one that cannot be passed on.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv._system.sockets import KEEPALIVE_IDLE
from rdv._transport import liveness
from rdv._transport.handover import adopt
from rdv.server.leg import Leg
from rdv.server.workers import bridge
from rdv.server.workers.bridge import Bridges, loopback_pair
from rdv.test.doubles import HalfCloseRecorder, HalfWire, connect
from rdv.test.sockets import REACTOR, open_descriptors, tcp_pair, turn
from rdv.wire import Offer, Role

OFFER = Offer(Role.DIALER, b"token")
MUCH = bytes(range(256)) * 20_000
NOBODY: Any = None


class PairTests(SynchronousTestCase):
    """``loopback_pair``."""

    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    def test_joined(self) -> None:
        before = open_descriptors()
        near, far = loopback_pair()
        with near, far:
            self.assertEqual(near.getsockname(), far.getpeername())
            self.assertEqual(far.getsockname(), near.getpeername())
            near.sendall(b"ping")
            self.assertEqual(far.recv(4), b"ping")
            self.assertEqual(open_descriptors(), before + 2)
        self.assertEqual(open_descriptors(), before)

    def strangers(self, number: int) -> list[socket.socket]:
        """So many who come to each port, before anybody else."""
        strangers: list[socket.socket] = []
        create = socket.create_server

        def create_server(*arguments: Any, **options: Any) -> socket.socket:
            listener = create(*arguments, **{**options, "backlog": 100})
            for _ in range(number):
                stranger = socket.create_connection(listener.getsockname(), timeout=10)
                self.addCleanup(stranger.close)
                strangers.append(stranger)
            return listener

        self.patch(socket, "create_server", create_server)
        return strangers

    def test_stranger(self) -> None:
        """Whoever else finds the port is shown the door."""
        strangers = self.strangers(3)
        near, far = loopback_pair()
        with near, far:
            self.assertEqual(near.getsockname(), far.getpeername())
        for stranger in strangers:
            self.assertEqual(stranger.recv(1), b"")

    def test_many_strangers(self) -> None:
        """It is given up, and nothing is left open."""
        strangers = self.strangers(100)
        before = open_descriptors()
        self.assertRaises(OSError, loopback_pair)
        self.assertEqual(open_descriptors() - before, len(strangers))


class BridgeTestCase(TestCase):
    """
    A client whose connection stays, and the far end of the bridge, which goes to another worker.

    :ivar client: the client's own end.
    :ivar far: what the other worker has.
    """

    timeout = 30
    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    async def setUp(self) -> None:  # type: ignore[override]
        await turn()  # the reactor has opened what it needs
        self.before = open_descriptors()
        self.bridges = Bridges(REACTOR)
        self.client = self.adopted(self.build())
        self.far: Any = HalfWire()
        far = self.bridges.join(self.leg)
        with far:
            adopt(REACTOR, far, self.far)

    def build(self) -> socket.socket:
        """The client's connection: its own end. The other one is :attr:`leg`'s."""
        client, server = tcp_pair()
        self.leg = Leg(OFFER, "", NOBODY)
        with server:
            adopt(REACTOR, server, self.leg)
        return client

    def adopted(self, sock: socket.socket) -> Any:
        """A wire on it."""
        wire: Any = HalfWire()
        with sock:
            adopt(REACTOR, sock, wire)
        return wire

    async def assert_gone(self) -> None:
        """Both ends, and all that was between them."""
        for wire in (self.client, self.far):
            await wire.lost()
        await self.bridges.close(5.0)
        self.assertEqual(len(self.bridges), 0)
        self.assertEqual(open_descriptors(), self.before)


class BridgeTests(BridgeTestCase):
    """The two behave like one connection."""

    async def test_both_ways(self) -> None:
        """At once, and each of much. It goes by itself when both have ended, in good order."""
        for one, sent in ((self.client, MUCH), (self.far, MUCH[::-1])):
            one.write(sent)
            one.transport.loseWriteConnection()
        self.assertEqual(await self.far.ended(), MUCH)
        self.assertEqual(await self.client.ended(), MUCH[::-1])
        await self.bridges.close(5.0)
        for wire in (self.client, self.far):
            self.assertIsNone(wire.reason)  # to the last it was no more than an end of each
            wire.close()
        await self.assert_gone()

    async def test_loss(self) -> None:
        """It is passed on as one."""
        self.far.write(b"some of it")
        await self.client.until(b"some of it")
        self.far.transport.abortConnection()
        await self.client.lost()
        self.assertIsNone(self.client.reason.check(ConnectionDone))
        await self.assert_gone()

    async def test_abort(self) -> None:
        self.bridges.abort()
        for wire in (self.client, self.far):
            await wire.lost()
            self.assertIsNone(wire.reason.check(ConnectionDone))
        await self.assert_gone()

    async def test_close_waits(self) -> None:
        """Until the last has ended by itself."""
        closed = self.bridges.close(600.0)
        self.assertNoResult(closed)
        for one, other in ((self.client, self.far), (self.far, self.client)):
            one.transport.loseWriteConnection()
            await other.ended()
        await closed
        for wire in (self.client, self.far):
            wire.close()
        await self.assert_gone()

    async def test_close_again(self) -> None:
        """With less time: who has waited before hears of it as well."""
        closed = self.bridges.close(600.0)
        await self.bridges.close(0.0)
        self.successResultOf(closed)
        await self.assert_gone()

    async def test_close_cuts(self) -> None:
        """But no longer than it may."""
        await self.bridges.close(0.0)
        await self.assert_gone()

    async def test_sockets(self) -> None:
        """
        Both are reset when this process is killed, and should the other side have vanished, or have
        closed both ways, of which TCP says no more than of a half-close, that is noticed.
        """
        self.assertEqual(len(liveness._watches[REACTOR]._last), 2)
        for leg in cast(Any, self.leg.owner)._legs:
            sock = leg.transport.getHandle()
            option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            self.assertEqual(option, b"\1\0\0\0\0\0\0\0")
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
            idle = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            self.assertEqual(idle, KEEPALIVE_IDLE)
        self.bridges.abort()
        await self.assert_gone()
        self.assertNotIn(REACTOR, liveness._watches)


class NoBridgeTests(SynchronousTestCase):
    """When there can be no bridge."""

    def test_error(self) -> None:
        def no_pair() -> None:
            raise OSError(24, "Too many open files")

        self.patch(bridge, "loopback_pair", no_pair)
        clock = Clock()
        bridges = Bridges(clock)
        leg = Leg(OFFER, "", NOBODY)
        connect(clock, leg, HalfCloseRecorder())
        self.assertRaises(OSError, bridges.join, leg)
        self.assertEqual(len(bridges), 0)

    def test_error_later(self) -> None:
        """The pair is closed again."""
        if sys.platform != "linux":
            return

        class Full(Clock):
            def adoptStreamConnection(self, *arguments: object) -> None:
                raise OSError(24, "Too many open files")

        clock = Full()
        leg = Leg(OFFER, "", NOBODY)
        connect(clock, leg, HalfCloseRecorder())
        before = open_descriptors()
        self.assertRaises(OSError, Bridges(clock).join, leg)
        self.assertEqual(open_descriptors(), before)

    def test_close_without_any(self) -> None:
        clock = Clock()
        closed: Deferred[None] = Bridges(clock).close(5.0)
        self.successResultOf(closed)
        self.assertEqual(clock.getDelayedCalls(), [])
