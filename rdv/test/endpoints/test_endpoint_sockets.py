"""
Endpoints over the real client and the real server, on loopback.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from rdv.addresses import AddressSpace
from rdv.endpoints import RendezvousEndpoint, RendezvousPort, RendezvousServerEndpoint
from rdv.errors import NoConnection, RdvError, TokenInUse
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import LoopbackTestCase, RealServer
from rdv.test.doubles import Wire
from rdv.test.sockets import REACTOR
from rdv.wire import Role

TOKEN = "a token"


class Echo(Wire):
    """Sends everything back."""

    def dataReceived(self, data: bytes) -> None:
        self.write(data)


class EndpointTestCase(LoopbackTestCase):
    """A server, and a reactor for each side."""

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.server = RealServer(self)
        self.here, self.there = SteppedReactor(REACTOR), SteppedReactor(REACTOR)
        self.told: list[RdvError | None] = []
        self.echoes: list[Echo] = []

    async def listen(self, reactor: SteppedReactor) -> RendezvousPort:
        """A port that echoes."""

        def echo() -> Echo:
            self.echoes.append(Echo())
            return self.echoes[-1]

        factory = Factory.forProtocol(echo)
        factory.noisy = False
        client = self.client(reactor, **self.options)
        endpoint = RendezvousServerEndpoint(
            client, self.server.url, TOKEN, trouble=self.told.append
        )
        port = await endpoint.listen(factory)
        assert isinstance(port, RendezvousPort)
        self.addCleanup(port.stopListening)
        return port

    def endpoint(self, **options: Any) -> RendezvousEndpoint:
        """One that dials."""
        client = self.client(self.here, **self.options)
        return RendezvousEndpoint(client, Role.DIALER, self.server.url, TOKEN, **options)

    async def ask(self, endpoint: RendezvousEndpoint, question: bytes) -> Wire:
        """Connect, and hear the echo."""
        wire: Wire = await connectProtocol(endpoint, Wire())
        self.addCleanup(self._hang_up, wire)
        wire.write(question)
        await wire.until(question)
        return wire


class DirectTests(EndpointTestCase):
    """Everything over direct paths."""

    async def test_many_at_once(self) -> None:
        """From one endpoint: nobody is thrown out of the lobby, nor turned away."""
        await self.listen(self.there)
        endpoint = self.endpoint()
        await self.ask(endpoint, b"one before the others")
        questions = [b"question %d" % number for number in range(20)]
        wires = await gatherResults(
            [Deferred.fromCoroutine(self.ask(endpoint, each)) for each in questions]
        )
        self.assertEqual([wire.data for wire in wires], questions)
        for _ in range(2 * len(questions) + 3):
            await self.server.arrival()
        self.assertEqual(self.server.rendezvous.waiting, 1)
        self.assertEqual(self.told, [])

    async def test_stop_listening(self) -> None:
        """Nothing is left of what waited; what was delivered goes on."""
        port = await self.listen(self.there)
        wire = await self.ask(self.endpoint(), b"before")
        await port.stopListening()
        await port.stopped
        wire.write(b"behind")
        await wire.until(b"behind")
        wire.close()
        await gatherResults([wire.lost(), self.echoes[0].lost()])
        await self.there.gone(self.server.number)
        self.assert_nothing_left(self.there)

    async def test_cancelled(self) -> None:
        """Nothing is left of a dial that nobody wants any more."""
        connecting = self.endpoint(timeout=None).connect(Factory.forProtocol(Wire))
        await self.server.arrival()
        connecting.cancel()
        await self.assertFailure(connecting, CancelledError)
        self.assert_nothing_left(self.here)

    async def test_two_with_one_token(self) -> None:
        """The second port takes the first one's place; the first says so, and comes back."""
        first = await self.listen(self.there)
        await self.server.arrival()
        second = await self.listen(self.here)
        await self.assertFailure(first.waiting, TokenInUse)
        await deferLater(REACTOR, 0)  # the rest of that turn: trouble, and its pause
        self.there.clock.advance(1)
        await self.assertFailure(second.waiting, TokenInUse)
        await deferLater(REACTOR, 0)
        self.assertEqual([type(each) for each in self.told], [TokenInUse] * 2)

    async def test_port_taken(self) -> None:
        """A local port that cannot be had is trouble, and costs one try."""
        taken = REACTOR.listenTCP(0, Factory(), interface="127.0.0.1")
        self.addCleanup(taken.stopListening)
        self.options = {"local_port": taken.getHost().port}
        port = await self.listen(self.there)
        await self.assertFailure(port.waiting, NoConnection)
        self.assertEqual(len(self.told), 1)
        self.assertEqual(len(self.there.getDelayedCalls()), 1)


class RelayTests(DirectTests):
    """The same through the relay."""

    options = {"spaces": AddressSpace.NONE}
