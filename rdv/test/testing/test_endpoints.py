"""
``rdv.testing`` under programs that only know endpoints.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.amp import AMP, Command, Integer
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.errors import ServerUnreachable
from rdv.test.testing.memory_case import MemoryTestCase
from rdv.wire import Role

CLIENT = r"rdv:http\://rendezvous.test/rdv:token=secret"


class Sum(Command):
    """Adds."""

    arguments = [(b"a", Integer()), (b"b", Integer())]
    response = [(b"total", Integer())]


class Adder(AMP):
    """Answers :class:`Sum`."""

    @Sum.responder
    def add(self, a: int, b: int) -> dict[str, int]:
        return {"total": a + b}


def quiet(factory: Any) -> Any:
    """A factory that does not log."""
    factory.noisy = False
    return factory


class EndpointTests(MemoryTestCase):
    """Applications of Twisted, unchanged."""

    def listen(self, endpoint: IStreamServerEndpoint, factory: Any) -> None:
        """Until the test ends."""
        port = self.successResultOf(endpoint.listen(quiet(factory)))

        def stop() -> None:
            port.stopListening()
            self.rendezvous.flush()

        self.addCleanup(stop)
        self.rendezvous.flush()

    def result(self, deferred: Deferred[Any]) -> Any:
        """What comes of it at once."""
        self.rendezvous.flush()
        return self.successResultOf(deferred)

    def connect(self, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """With it, as far as it goes at once."""
        connecting: Deferred[Any] = endpoint.connect(quiet(Factory.forProtocol(AMP)))
        self.rendezvous.flush()
        return connecting

    def endpoint(self, role: Role = Role.DIALER, timeout: float | None = 60) -> RendezvousEndpoint:
        """Of a client of its own."""
        client = self.rendezvous.client()
        return RendezvousEndpoint(client, role, self.url, "secret", timeout=timeout)

    def check_sums(self, here: IStreamClientEndpoint, there: IStreamServerEndpoint) -> None:
        """Several connections at the same time."""
        self.listen(there, Factory.forProtocol(Adder))
        connecting = [self.connect(here) for _ in range(3)]
        for number, each in enumerate(connecting):
            amp = self.successResultOf(each)
            answer = self.result(amp.callRemote(Sum, a=number, b=40))
            self.assertEqual(answer, {"total": 40 + number})
            amp.transport.loseConnection()

    def test_objects(self) -> None:
        there = RendezvousServerEndpoint(self.rendezvous.client(), self.url, "secret")
        self.check_sums(self.endpoint(), there)

    def check_strings(self, text: str) -> None:
        """The clients that those make know their host's addresses."""
        here, there = self.rendezvous.host(), self.rendezvous.host()
        self.check_sums(clientFromString(here, text), serverFromString(there, text))

    def test_strings(self) -> None:
        self.check_strings(CLIENT)
        self.assertEqual(self.rendezvous.server.pairs, 0)

    def test_relay(self) -> None:
        self.check_strings(CLIENT + ":relay=yes")

    def test_web(self) -> None:
        """A site, and an agent of Twisted."""

        class Page(Resource):
            isLeaf = True

            def render_GET(self, request: object) -> bytes:
                return b"hello" * 100_000

        here, there = self.rendezvous.host(), self.rendezvous.host()

        @implementer(IAgentEndpointFactory)
        class Endpoints:
            def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
                endpoint: IStreamClientEndpoint = clientFromString(here, CLIENT)
                return endpoint

        self.listen(serverFromString(there, CLIENT), Site(Page(), reactor=there))
        agent = Agent.usingEndpointFactory(here, Endpoints())
        response = self.result(agent.request(b"GET", b"http://anything/"))
        self.assertEqual(len(self.result(readBody(response))), 500_000)

    def test_server_goes_away(self) -> None:
        """The port tells of it, and tries again by the clock."""
        told: list[object] = []
        client = self.rendezvous.client()
        endpoint = RendezvousServerEndpoint(client, self.url, "secret", trouble=told.append)
        self.listen(endpoint, Factory.forProtocol(Adder))
        self.rendezvous.advance(1.0)
        self.assertEqual(told, [])
        self.rendezvous.stop()
        self.rendezvous.advance(600.0)
        self.assertEqual(len(told), 1)
        dial = self.endpoint()
        self.failureResultOf(self.connect(dial), ServerUnreachable)
        self.rendezvous.start()
        self.rendezvous.advance(100.0)
        self.assertIs(told[-1], None)
        self.successResultOf(self.connect(dial)).transport.loseConnection()

    def test_server_goes_away_from_one_who_waits(self) -> None:
        """It comes back when the server wants it to, after ten seconds, and meets its peer."""
        for role, other in ((Role.ACCEPTOR, Role.DIALER), (Role.DIALER, Role.ACCEPTOR)):
            waiting = self.connect(self.endpoint(role))
            self.rendezvous.advance(1.0)
            self.rendezvous.stop()
            self.rendezvous.start()
            self.rendezvous.advance(10.0)
            self.assertEqual(self.rendezvous.server.waiting, 0)
            self.rendezvous.advance(3.5)  # up to a quarter of the ten, and a second, later
            self.assertEqual(self.rendezvous.server.waiting, 1)
            self.assertNoResult(waiting)
            for connecting in (self.connect(self.endpoint(other)), waiting):
                self.successResultOf(connecting).transport.loseConnection()
            self.rendezvous.flush()

    def test_cancelled(self) -> None:
        dialling = self.connect(self.endpoint(timeout=None))
        self.rendezvous.advance(100.0)
        dialling.cancel()
        self.rendezvous.flush()
        self.failureResultOf(dialling, CancelledError)
