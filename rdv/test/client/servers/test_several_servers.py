"""
Clients of several servers, over real sockets.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from rdv._secure.secret import Secret
from rdv.addresses import AddressSpace
from rdv.client import Connection, rank_servers
from rdv.client.trace import Event, What
from rdv.errors import AttemptTimeout, NoServer
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import LoopbackTestCase, RawServer, RealServer
from rdv.test.sockets import REACTOR


class SeveralServersTests(LoopbackTestCase):
    """
    Three servers.

    :ivar order: that in which the peers ask them.
    """

    def setUp(self) -> None:
        super().setUp()
        self.servers = {server.url: server for server in (RealServer(self) for _ in range(3))}
        self.order = rank_servers("token", list(self.servers))
        self.other = SteppedReactor(REACTOR)

    async def meet(self, *attempts: Deferred[Connection]) -> list[Connection]:
        """They come to a connection, and nothing else is left of them."""
        connections = await gatherResults(attempts)
        for connection in connections:
            connection.abortConnection()
        return connections

    async def test_at_the_first(self) -> None:
        """Whatever the order in which they are given."""
        urls = list(self.servers)
        events: list[Event] = []
        await self.meet(
            self.client().accept(urls, "token", trace=events.append),
            self.client(self.other).dial(urls[::-1], "token"),
        )
        asked = [event.fields["server"] for event in events if event.what is What.BEGUN]
        self.assertEqual(asked, self.order[:1])

    async def test_at_the_next(self) -> None:
        """The first is dead."""
        await self.servers[self.order[0]].stop_listening()
        await self.meet(
            self.client().accept(self.order, "token"),
            self.client(self.other).dial(self.order, "token"),
        )

    async def test_secured(self) -> None:
        """By the token that travels; the first server is not known to one of them."""
        secret = Secret.generate()
        order = rank_servers(secret, self.order)
        accepting = self.client(spaces=AddressSpace.NONE).accept(order, secret)
        await self.servers[order[0]].arrival()
        self.reactor.clock.advance(2)
        await self.servers[order[1]].arrival()
        dialling = self.client(self.other, spaces=AddressSpace.NONE).dial(order[1:], secret)
        for connection in await self.meet(accepting, dialling):
            self.assertTrue(connection.is_secure)

    async def test_none(self) -> None:
        for server in self.servers.values():
            await server.stop_listening()
        dialling = self.client().dial(self.order, "token")
        error: NoServer = await self.assertFailure(cast(Any, dialling), NoServer)
        for url in self.order:
            self.assertIn(f"cannot reach {url}: connection refused", str(error))
        self.assert_nothing_left()

    async def test_out_of_time(self) -> None:
        """It is told where nobody came."""
        dialling = self.client().dial(self.order[:2], "token", timeout=3)
        await self.servers[self.order[0]].arrival()
        self.reactor.clock.advance(2)
        await self.servers[self.order[1]].arrival()
        self.reactor.clock.advance(1)
        error = await self.assertFailure(cast(Any, dialling), AttemptTimeout)
        for url in self.order[:2]:
            self.assertIn(f"no peer arrived at {url}", str(error))
        self.assert_nothing_left()

    async def test_out_of_time_with_a_failure(self) -> None:
        """Of one that has failed it is told why: it may never have anybody wait."""
        await self.servers[self.order[0]].stop_listening()
        dialling = self.client().dial(self.order[:2], "token", timeout=1)
        await self.servers[self.order[1]].arrival()
        self.reactor.clock.advance(1)
        error = await self.assertFailure(cast(Any, dialling), AttemptTimeout)
        self.assertEqual(
            error.lacking,
            f"cannot reach {self.order[0]}: connection refused; no peer arrived at {self.order[1]}",
        )

    async def test_cancelled_by_a_trace(self) -> None:
        """In the middle of any of its attempts."""

        def trace(event: Event) -> None:
            if event.what is What.ASKED and event.attempt == 2:
                dialling.cancel()

        silent = {server.url: server for server in (RawServer(self), RawServer(self))}
        order = rank_servers("token", list(silent))
        dialling = self.client().dial(order, "token", trace=trace)
        await silent[order[0]].request()
        self.reactor.clock.advance(2)
        await self.assertFailure(cast(Any, dialling), CancelledError)
        self.assert_nothing_left()

    async def test_local_port(self) -> None:
        """Two attempts cannot share one."""
        client = self.client(local_port=40000)
        await self.assertFailure(cast(Any, client.dial(self.order, "token")), ValueError)
