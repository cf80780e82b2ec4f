"""
The endpoints: what protocols, factories and ports see.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv.client import Client, Connection
from rdv.endpoints import (
    IClient,
    RendezvousEndpoint,
    RendezvousPort,
    RendezvousServerEndpoint,
)
from rdv.errors import BadToken, BadURL, RdvError, ServerRefused, ServerUnreachable
from rdv.test.client.doubles import ClientReactor
from rdv.test.doubles import Wire
from rdv.test.endpoints.doubles import PEER, URL, FakeClient, refused
from rdv.wire import Role


class Counting(Factory[Any]):
    """
    Builds what it is told to.

    :ivar live: whether it has been started and not been stopped.
    :ivar addresses: for which it has built protocols.
    """

    noisy = False

    def __init__(self, build: Any = Wire) -> None:
        self.build = build
        self.live = False
        self.addresses: list[object] = []
        self.built: list[Any] = []

    def startFactory(self) -> None:
        self.live = True

    def stopFactory(self) -> None:
        self.live = False

    def buildProtocol(self, addr: object) -> Any:
        self.addresses.append(addr)
        self.built.append(self.build())
        return self.built[-1]


class Broken(Protocol):
    """Fails at once."""

    def connectionMade(self) -> None:
        raise RuntimeError("not my day")


def not_my_day() -> Protocol:
    """Builds no protocol."""
    raise RuntimeError("not my day")


class DoubleTests(SynchronousTestCase):
    """The double has what the endpoints need, which mypy checks."""

    def test_clock(self) -> None:
        """A client has the clock of its reactor."""
        reactor = ClientReactor()
        clients: list[IClient] = [Client(reactor), FakeClient()]
        self.assertIs(clients[0].clock, reactor)


class ClientEndpointTests(SynchronousTestCase):
    """Making a connection."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.factory = Counting()
        self.endpoint = RendezvousEndpoint(
            self.client, Role.DIALER, URL, "token", headers={"X": "1"}
        )

    def test_interface(self) -> None:
        verifyObject(IStreamClientEndpoint, self.endpoint)
        self.assertEqual(repr(self.endpoint), f"<RendezvousEndpoint dial {URL}>")

    def test_connect(self) -> None:
        """The protocol is built for the peer, and connected to it without anything between."""
        connecting = self.endpoint.connect(self.factory)
        self.assertTrue(self.factory.live)
        self.assertEqual(self.client.last.options, {"headers": {"X": "1"}})
        below = self.client.last.connects()
        wire = cast(Wire, self.successResultOf(connecting))
        self.assertIs(wire, self.factory.built[0])
        self.assertIsInstance(wire.transport, Connection)
        self.assertEqual(self.factory.addresses, [PEER])
        below.deliver(b"hello")
        self.assertEqual(wire.data, b"hello")
        self.assertTrue(self.factory.live)
        below.lose()
        self.assertIsNotNone(wire.reason)
        self.assertFalse(self.factory.live)

    def test_timeouts(self) -> None:
        """A dialer's peer is there or it is not; an acceptor's may come tomorrow."""
        for role, options, timeout in (
            (Role.DIALER, {}, 60.0),
            (Role.ACCEPTOR, {}, None),
            (Role.DIALER, {"timeout": None}, None),
            (Role.ACCEPTOR, {"timeout": 5.0}, 5.0),
        ):
            endpoint = RendezvousEndpoint(
                self.client, role, URL, "token", **cast(dict[str, Any], options)
            )
            connecting = endpoint.connect(self.factory)
            self.assertEqual((self.client.last.role, self.client.last.timeout), (role, timeout))
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)

    def test_failure(self) -> None:
        """It is rdv's own, and the factory is told; so it is when it is cancelled."""
        connecting = self.endpoint.connect(self.factory)
        self.client.last.fails(refused(403))
        self.failureResultOf(connecting, ServerRefused)
        self.assertFalse(self.factory.live)
        connecting = self.endpoint.connect(self.factory)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertFalse(self.factory.live)
        self.assertEqual(self.factory.addresses, [])
        self.assertTrue(self.client.nothing_left())

    def test_unwanted(self) -> None:
        """No protocol, or one that fails: the connection is closed, and then the factory told."""
        builds = ((lambda: None, NoProtocol), (not_my_day, RuntimeError), (Broken, RuntimeError))
        for build, error in builds:
            factory = Counting(build)
            connecting = self.endpoint.connect(factory)
            below = self.client.last.connects()
            self.assertEqual(below.closing, "abort")
            self.failureResultOf(connecting, error)
            below.lose()
            self.assertFalse(factory.live)


class ServerEndpointTests(SynchronousTestCase):
    """Listening."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.factory = Counting()
        self.told: list[RdvError | None] = []

    def listen(self, factory: Counting | None = None) -> RendezvousPort:
        """A port."""
        endpoint = RendezvousServerEndpoint(
            self.client, URL, "token", headers={"X": "1"}, trouble=self.told.append
        )
        verifyObject(IStreamServerEndpoint, endpoint)
        self.assertEqual(repr(endpoint), f"<RendezvousServerEndpoint accept {URL}>")
        port = self.successResultOf(endpoint.listen(factory or self.factory))
        assert isinstance(port, RendezvousPort)
        return port

    def test_interface(self) -> None:
        """It says where it is, and not with which token."""
        port = self.listen()
        verifyObject(IListeningPort, port)
        self.assertEqual(repr(port), f"<RendezvousPort accept {URL}>")
        self.assertRaises(RuntimeError, port.startListening)
        address = port.getHost()
        verifyObject(IAddress, address)
        self.assertEqual((address.server, address.token_hint), (URL, "to…"))
        self.assertNotIn("token'", repr(address))

    def test_bad_arguments(self) -> None:
        """They are told at once."""
        for url, token, kind in ((URL, "", BadToken), ("ftp://x", "token", BadURL)):
            self.assertRaises(kind, RendezvousServerEndpoint, self.client, url, token)

    def test_peers(self) -> None:
        """Each has a protocol of its own."""
        self.listen()
        self.assertTrue(self.factory.live)
        self.assertEqual(self.client.last.options, {"headers": {"X": "1"}})
        belows = [self.client.meets().connects() for _ in range(2)]
        for below, wire in zip(belows, self.factory.built, strict=True):
            below.deliver(b"hello")
            self.assertEqual(wire.data, b"hello")
            self.assertIsInstance(wire.transport, Connection)
        self.assertEqual(self.factory.addresses, [PEER, PEER])

    def test_unwanted(self) -> None:
        """No protocol is no error; what fails is logged. Either closes that connection only."""
        self.listen()
        for build, closing, errors in (
            (lambda: None, "abort", 0),
            (not_my_day, "abort", 1),
            (Broken, "abort", 1),
            (Wire, "", 0),
        ):
            self.factory.build = build
            self.assertEqual(self.client.meets().connects().closing, closing)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), errors)

    def test_stop(self) -> None:
        """Delivered connections go on; the factory is told when nothing can come."""
        port = self.listen()
        stopped = port.stopped
        below = self.client.meets().connects()
        self.client.closes_late = True
        self.client.meets()
        stopping = port.stopListening()
        self.assertTrue(self.factory.live)
        self.client.last.fails(CancelledError())
        self.assertIsNone(self.successResultOf(stopping))
        self.assertIsNone(self.successResultOf(stopped))
        self.assertFalse(self.factory.live)
        below.deliver(b"still here")
        self.assertEqual(self.factory.built[0].data, b"still here")
        self.assertEqual(self.client.clock.getDelayedCalls(), [])

    def test_trouble(self) -> None:
        """The owner hears of it, and so does who waits for the beginning."""
        port = self.listen()
        waiting = port.waiting
        self.client.last.fails(ServerUnreachable("gone"))
        self.failureResultOf(waiting, ServerUnreachable)
        self.assertEqual([str(each) for each in self.told], ["gone"])
        self.assertTrue(self.factory.live)

    def test_giving_up(self) -> None:
        """Who asks for it hears why; if nobody does it is no unhandled error."""
        stopped = self.listen().stopped
        self.client.last.fails(refused(404))
        self.failureResultOf(stopped, ServerRefused)
        self.assertFalse(self.factory.live)
