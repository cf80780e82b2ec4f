"""Round trips of real connections to a server on loopback, however they are wrapped."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.server import Site

from rdv._system.tcp_info import round_trip
from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.server.meeting import release
from rdv.server.meeting.release import Hold, hold_back
from rdv.test.server.doubles import request
from rdv.test.transport.doubles import PROXY_HEADER, proxied

REACTOR: Any = global_reactor


class Caller(Protocol):
    """
    A client that only sends its request.

    :ivar gone: fires when the connection is gone.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class RealSocketTests(TestCase):
    """Two clients, and a hook that examines them before they are answered."""

    timeout = 30
    if sys.platform != "linux":
        skip = "only Linux tells round trips"

    def setUp(self) -> None:
        # So that even the smallest difference counts.
        self.patch(release, "SHORTEST_HOLD", 0.0)
        self.looked: DeferredQueue[tuple[Hold | None, list[float | None]]] = DeferredQueue()
        self.rendezvous = Rendezvous(Clock(), serve=self.look)
        self.site = Site(RendezvousResource(self.rendezvous), reactor=REACTOR)

    def look(self, pair: Pair) -> None:
        """A hook."""
        trips = [round_trip(leg.transport) for leg in (pair.dialer, pair.acceptor)]
        self.looked.put((hold_back(pair.dialer, pair.acceptor), trips))

    def listen(self, factory: IProtocolFactory, interface: str = "127.0.0.1") -> int:
        """The port on which it listens now."""
        port: IListeningPort = REACTOR.listenTCP(0, factory, interface=interface)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port  # type: ignore[attr-defined]
        return number

    async def meet(
        self, endpoint: IStreamClientEndpoint, preamble: bytes = b""
    ) -> tuple[Hold | None, list[float | None]]:
        """Let two come: what the hook saw."""
        callers = [Caller(preamble + request(method)) for method in (b"DIAL", b"ACCEPT")]
        for caller in callers:
            await connectProtocol(endpoint, caller)
        looked = await self.looked.get()
        for caller in callers:
            transport: Any = caller.transport
            transport.abortConnection()
            await caller.gone
        await self.rendezvous.close()
        return looked

    def assert_known(self, looked: tuple[Hold | None, list[float | None]]) -> None:
        """Both round trips are, and whose they are."""
        hold, trips = looked
        for trip in trips:
            assert trip is not None
            self.assertTrue(0 < trip < 1, trip)
        self.assertIsNotNone(hold)

    async def test_plain(self) -> None:
        port = self.listen(self.site)
        self.assert_known(await self.meet(TCP4ClientEndpoint(REACTOR, "127.0.0.1", port)))

    async def test_dual_stack(self) -> None:
        """The addresses are IPv4-mapped there."""
        try:
            port = self.listen(self.site, "::")
        except CannotListenError as error:
            raise SkipTest("there is no IPv6") from error
        self.assert_known(await self.meet(TCP4ClientEndpoint(REACTOR, "127.0.0.1", port)))

    async def test_behind_a_proxy(self) -> None:
        """The kernel knows a round trip, but it is not the client's."""
        port = self.listen(proxied(self.site))
        endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", port)
        hold, trips = await self.meet(endpoint, PROXY_HEADER)
        self.assertIsNone(hold)
        self.assertNotIn(None, trips)
