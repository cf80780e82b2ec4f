"""
One port that listens and dials, with real sockets on loopback.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
)
from twisted.internet.tcp import makeBinding

from rdv.addresses import Address, parse_address
from rdv.client.dial.shared_port import SharedPort
from rdv.errors import NoConnection
from rdv.test.client.dial.doubles import SeparateStacks, SteppedReactor, Unlucky, WithoutIPv6
from rdv.test.client.doubles import ClientReactor
from rdv.test.client.loopback import LoopbackTestCase, RawServer, has_ipv6
from rdv.test.doubles import Wire
from rdv.test.sockets import REACTOR, sockets_at


class SharedPortTestCase(LoopbackTestCase):
    """Shared ports that are closed in the end."""

    def listen(self, factory: Any, number: int = 0) -> SharedPort:
        """A shared port."""
        port = SharedPort(self.reactor, factory, number)
        self.addCleanup(port.close)
        return port

    async def dial(self, port: SharedPort, address: str) -> Wire:
        """Dial from ``port``."""
        wire = await port.connect(parse_address(address), Wire(), 10)
        self.addCleanup(self._hang_up, wire)
        return wire

    async def assert_reaches(self, address: str, peer: RawServer) -> None:
        """Who dials ``address`` reaches ``peer``, and bytes go both ways."""
        ours = await self.dial(self.listen(peer), address)
        theirs = await peer.arrival()
        ours.write(b"ping")
        await theirs.until(b"ping")
        theirs.write(b"pong")
        await ours.until(b"pong")


class ListenTests(SharedPortTestCase):
    """Who can connect to it."""

    async def test_ipv4(self) -> None:
        """Also on a host that knows no IPv6."""
        for kind in (SteppedReactor, WithoutIPv6):
            self.reactor = kind(REACTOR)
            peer = RawServer(self)
            await self.assert_reaches(f"127.0.0.1:{self.listen(peer).number}", peer)

    async def test_ipv6(self) -> None:
        peer = RawServer(self)
        await self.assert_reaches(f"[::1]:{self.listen(peer).number}", peer)

    async def test_separate_stacks(self) -> None:
        self.reactor = SeparateStacks(REACTOR)
        peer = RawServer(self)
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
            number = both.getsockname()[1]  # free in both stacks, as only the system can choose it
        self.listen(peer, number)
        await self.assert_reaches(f"127.0.0.1:{number}", peer)
        await self.assert_reaches(f"[::1]:{number}", peer)

    def test_options(self) -> None:
        reactor = ClientReactor()
        SharedPort(reactor, RawServer(self), 40000)
        binding = makeBinding("::", 40000, reuseAddress=True, reusePort=True)
        self.assertEqual(reactor.bindings, [binding])
        self.assertEqual(reactor.tcpServers[0][3], "::")

    async def test_number(self) -> None:
        """A new one each time, or the one that is asked for."""
        ports = [self.listen(RawServer(self)) for _ in range(5)]
        self.assertEqual(len({port.number for port in ports}), 5)
        number = ports[0].number
        await ports[0].close()
        self.assertEqual(self.listen(RawServer(self), number).number, number)

    async def test_taken(self) -> None:
        """Of which an attempt dies as well."""
        server = RawServer(self)
        attempt = self.client(local_port=server.number).dial(server.url, "token")
        error: Exception = await self.assertFailure(cast(Any, attempt), NoConnection)
        reason = os.strerror(errno.EADDRINUSE)
        self.assertEqual(str(error), f"cannot listen on local port {server.number}: {reason}")
        self.assertEqual(self.reactor.left_over(), [])

    async def test_taken_for_ipv4_only(self) -> None:
        """What was already listening is closed again."""
        self.reactor = SeparateStacks(REACTOR)
        taken = RawServer(self).number
        self.assertRaises(NoConnection, SharedPort, self.reactor, RawServer(self), taken)
        turn: Deferred[None] = Deferred()
        REACTOR.callLater(0, turn.callback, None)
        await turn
        self.assertEqual(len(sockets_at([taken])), 1)

    async def test_chosen_port_is_taken_for_ipv4_only(self) -> None:
        """Whoever leaves the choice to the system does not care which one it is."""
        self.reactor = unlucky = Unlucky(REACTOR)
        peer = RawServer(self)
        unlucky.taken = RawServer(self).number
        number = self.listen(peer).number
        self.assertNotEqual(number, unlucky.taken)
        unlucky.taken = 0
        await self.assert_reaches(f"127.0.0.1:{number}", peer)

    if not has_ipv6():
        for _test in (
            test_ipv6,
            test_separate_stacks,
            test_taken_for_ipv4_only,
            test_chosen_port_is_taken_for_ipv4_only,
        ):
            _test.skip = "no IPv6 loopback"  # type: ignore[attr-defined]


class DialTests(SharedPortTestCase):
    """Dialling from it."""

    async def test_from_the_same_port(self) -> None:
        """Any number of times, also on a host that knows no IPv6."""
        for kind in (SteppedReactor, WithoutIPv6):
            self.reactor = kind(REACTOR)
            port = self.listen(RawServer(self))
            for _ in range(3):
                server = RawServer(self)
                await self.dial(port, f"127.0.0.1:{server.number}")
                self.assertEqual((await server.arrival()).port, port.number)

    async def test_ipv6_from_the_same_port(self) -> None:
        peer = RawServer(self)
        port, other = self.listen(RawServer(self)), self.listen(peer)
        await self.dial(port, f"[::1]:{other.number}")
        self.assertEqual((await peer.arrival()).port, port.number)

    async def test_two_ports_dial_each_other(self) -> None:
        """Two addresses have room for one connection between them."""
        peers = [RawServer(self), RawServer(self)]
        ports = [self.listen(peer) for peer in peers]
        wires = [Wire(), Wire()]
        dials = [
            ports[0].connect(Address(_LOOPBACK, ports[1].number), wires[0], 10),
            ports[1].connect(Address(_LOOPBACK, ports[0].number), wires[1], 10),
        ]
        reached = []
        for index, dial in enumerate(dials):
            with contextlib.suppress(ConnectError):
                self.addCleanup(self._hang_up, await dial)
                reached.append(index)
        if len(reached) == 2:  # a simultaneous open
            here, there = wires
        else:
            (index,) = reached
            here, there = wires[index], await peers[1 - index].arrival()
        here.write(b"ping")
        await there.until(b"ping")
        there.write(b"pong")
        await here.until(b"pong")

    async def test_refused(self) -> None:
        gone = self.listen(RawServer(self))
        number = gone.number
        await gone.close()
        port = self.listen(RawServer(self))
        await self.assertFailure(
            port.connect(parse_address(f"127.0.0.1:{number}"), Wire(), 10), ConnectError
        )

    async def test_cancelled(self) -> None:
        port, server = self.listen(RawServer(self)), RawServer(self)
        number = port.number
        dial = port.connect(parse_address(f"127.0.0.1:{server.number}"), Wire(), 10)
        dial.cancel()
        await self.assertFailure(dial, CancelledError, ConnectingCancelledError)
        await port.close()
        self.assertEqual(sockets_at([number]), [])

    async def test_cancelled_number(self) -> None:
        """
        Nobody gets its number before the turn is over, in which the reactor may tell of it. The
        port is closed behind that.
        """
        for closed_before in (False, True):
            port, server = self.listen(RawServer(self)), RawServer(self)
            dial = port.connect(parse_address(f"127.0.0.1:{server.number}"), Wire(), 10)
            before = sockets_at([port.number])
            closed = port.close() if closed_before else None
            dial.cancel()
            self.assertEqual(sockets_at([port.number]), before)
            await self.assertFailure(dial, CancelledError, ConnectingCancelledError)
            number = port.number
            await (closed or port.close())
            self.assertEqual(sockets_at([number]), [])

    def test_timeout(self) -> None:
        reactor = ClientReactor()
        port = SharedPort(reactor, RawServer(self))
        failed = port.connect(parse_address("192.0.2.1:4000"), Wire(), 7.5)
        host, number, _, timeout, binding = reactor.tcpClients[0]
        self.assertEqual((host, number, timeout), ("192.0.2.1", 4000, 7.5))
        self.assertEqual(binding, makeBinding("", 40000, reuseAddress=True, reusePort=True))
        reactor.failed(ConnectError())
        self.failureResultOf(failed, ConnectError)

    if not has_ipv6():
        test_ipv6_from_the_same_port.skip = "no IPv6 loopback"  # type: ignore[attr-defined]


class CloseTests(SharedPortTestCase):
    """The end of listening."""

    async def test_is_free_then(self) -> None:
        for kind in (SteppedReactor, WithoutIPv6, SeparateStacks):
            self.reactor = kind(REACTOR)
            port = self.listen(RawServer(self))
            number = port.number
            self.assertNotEqual(sockets_at([number]), [])
            await port.close()
            self.assertEqual(sockets_at([number]), [])

    async def test_connections_stay(self) -> None:
        server = RawServer(self)
        port = self.listen(RawServer(self))
        ours = await self.dial(port, f"127.0.0.1:{server.number}")
        theirs = await server.arrival()
        await port.close()
        theirs.write(b"still here")
        await ours.until(b"still here")

    if not has_ipv6():
        test_is_free_then.skip = "no IPv6 loopback"  # type: ignore[attr-defined]


_LOOPBACK = parse_address("127.0.0.1:0").ip
