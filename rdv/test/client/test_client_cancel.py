"""
Cancelling over real sockets: when the Deferred says so, no socket, port or timer is left.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred

from rdv.client import Connection
from rdv.test.client.doubles import answer, here
from rdv.test.client.loopback import LoopbackTestCase, RawServer, RealServer
from rdv.test.doubles import Wire

HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"


class CancelTests(LoopbackTestCase):
    """An attempt is cancelled."""

    def setUp(self) -> None:
        super().setUp()
        self.server = RawServer(self)
        self.peer = RawServer(self)

    async def assert_cancelled(self, attempt: Deferred[Connection]) -> None:
        """Cancel it: nothing is left when it errbacks."""
        self.assertNotEqual(self.reactor.left_over(), [])
        attempt.cancel()
        await self.assertFailure(cast(Any, attempt), CancelledError)
        self.assert_nothing_left()

    async def racing(self, call: str) -> tuple[Deferred[Connection], Wire, Wire]:
        """An attempt, its relay, and a direct connection that it has made."""
        attempt = getattr(self.client(), call)(self.server.url, "token")
        relay = await self.server.request()
        relay.write(answer(*here(self.peer.number)))
        return attempt, relay, await self.peer.arrival()

    async def test_at_once(self) -> None:
        for call in ("dial", "accept"):
            attempt = getattr(self.client(), call)(self.server.url, "token")
            await self.assert_cancelled(attempt)

    async def test_waiting(self) -> None:
        for call in ("dial", "accept"):
            attempt = getattr(self.client(), call)(self.server.url, "token")
            relay = await self.server.request()
            await self.assert_cancelled(attempt)
            await relay.lost()

    async def test_waiting_with_strangers(self) -> None:
        attempt = self.client().accept(self.server.url, "token")
        relay = await self.server.request()
        strangers = [await self.visit(relay.port) for _ in range(3)]
        await self.assert_cancelled(attempt)
        for stranger in strangers:
            self.assertEqual(await stranger.lost(), b"")

    async def test_waiting_at_the_real_server(self) -> None:
        server = RealServer(self)
        attempt = self.client().accept(server.url, "token")
        await server.arrival()
        self.assertEqual(server.rendezvous.waiting, 1)
        await self.assert_cancelled(attempt)

    async def test_in_the_head(self) -> None:
        attempt = self.client().dial(self.server.url, "token")
        relay = await self.server.request()
        begun = self.reactor.scheduled(10)
        relay.write(answer()[:40])
        await begun
        await self.assert_cancelled(attempt)

    async def test_racing(self) -> None:
        for call in ("dial", "accept"):
            attempt, relay, direct = await self.racing(call)
            inbound = await self.visit(relay.port)
            await self.assert_cancelled(attempt)
            for wire in (relay, direct, inbound):
                await wire.lost()

    async def test_penalty(self) -> None:
        attempt, relay, direct = await self.racing("dial")
        ready = self.reactor.scheduled(2)
        relay.write(HELLO)
        await ready
        await self.assert_cancelled(attempt)
        self.assertEqual(await direct.lost(), b"")

    async def test_connecting_to_the_peer(self) -> None:
        """In the turn in which the dials begin."""
        attempt = self.client().dial(self.server.url, "token")
        relay = await self.server.request()
        begun = self.reactor.scheduled(30)
        relay.write(answer(*here(self.peer.number)))
        await begun
        await self.assert_cancelled(attempt)

    async def test_afterwards(self) -> None:
        attempt, relay, direct = await self.racing("dial")
        direct.write(HELLO + b"data")
        connection = await attempt
        attempt.cancel()
        wire = Wire()
        connection.attach(wire)
        self.addCleanup(self._hang_up, wire)
        self.assertEqual(await wire.until(b"data"), b"data")
        await relay.lost()
