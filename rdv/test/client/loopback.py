"""
The client on real sockets, and servers on loopback that the test controls.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.server import Rendezvous, RendezvousResource
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.doubles import here
from rdv.test.doubles import Wire, collect_garbage
from rdv.test.sockets import REACTOR


def has_ipv6() -> bool:
    """Whether this host has an IPv6 loopback."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


class RawServer(ServerFactory[Any]):
    """
    Listens on loopback; the test decides what it sends.

    :ivar wires: all connections so far.
    :ivar greeting: sent on each connection immediately.
    """

    noisy = False
    greeting = b""

    def __init__(self, test: TestCase, **options: Any) -> None:
        self.wires: list[Wire] = []
        self._arrivals: DeferredQueue[Wire] = DeferredQueue()
        self._port = REACTOR.listenTCP(0, self, interface="127.0.0.1", **options)
        self.number: int = self._port.getHost().port
        self.url = f"http://127.0.0.1:{self.number}/rdv"
        test.addCleanup(self.stop)

    def buildProtocol(self, addr: object) -> Wire:
        wire = Wire()
        self.wires.append(wire)
        wire.made.addCallback(self._greet)
        wire.made.addCallback(self._arrivals.put)
        return wire

    def _greet(self, wire: Wire) -> Wire:
        wire.write(self.greeting)
        return wire

    def arrival(self) -> Deferred[Wire]:
        """The next connection, each only once."""
        return self._arrivals.get()

    async def request(self) -> Wire:
        """The next connection, when the head of a request has come on it."""
        wire = await self.arrival()
        await wire.until(b"\r\n\r\n")
        return wire

    async def stop(self) -> None:
        """Stop listening, and break all connections."""
        await maybeDeferred(self._port.stopListening)
        for wire in self.wires:
            gone = wire.lost()
            if not gone.called:
                cast(Any, wire.transport).abortConnection()
            await gone


class _Watched(RendezvousResource):
    """Reports incoming connections."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        super().__init__(rendezvous)
        self.arrivals: DeferredQueue[None] = DeferredQueue()

    def render(self, request: IRequest) -> int | bytes:
        result = super().render(request)
        self.arrivals.put(None)
        return result


class RealServer:
    """
    The real server on loopback, with its own clock.

    :param tls: a context factory, for https.
    :param options: for ``Rendezvous``.
    """

    def __init__(
        self,
        test: TestCase,
        tls: object = None,
        interface: str = "127.0.0.1",
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.rendezvous = Rendezvous(self.clock, **options)
        root = Resource()
        self._resource = _Watched(self.rendezvous)
        root.putChild(b"rdv", self._resource)
        site = Site(root, timeout=None)
        site.noisy = False
        if tls is None:
            self._port = REACTOR.listenTCP(0, site, interface=interface)
        else:
            self._port = REACTOR.listenSSL(0, site, tls, interface=interface)
        scheme = "http" if tls is None else "https"
        host = f"[{interface}]" if ":" in interface else interface
        self.number: int = self._port.getHost().port
        self.url = f"{scheme}://{host}:{self.number}/rdv"
        test.addCleanup(self._stop)

    def arrival(self) -> Deferred[None]:
        """The next client that has come and been answered, or waits; each only once."""
        return self._resource.arrivals.get()

    async def stop_listening(self) -> None:
        """Nobody can connect any more."""
        await maybeDeferred(self._port.stopListening)

    async def _stop(self) -> None:
        await self.stop_listening()
        closed = self.rendezvous.close()
        self.clock.advance(10)
        await closed


class LoopbackTestCase(TestCase):
    """
    Clients whose only address is 127.0.0.1.

    :ivar reactor: the reactor of :meth:`client`.
    """

    timeout = 30

    def setUp(self) -> None:
        self.reactor = SteppedReactor(REACTOR)
        self.addCleanup(collect_garbage)  # last of all

    def client(self, reactor: SteppedReactor | None = None, **options: Any) -> Client:
        """
        A client that dials nothing but loopback. It waits for no witness: clocks stand still, and a
        dialer does not leave the relay.
        """
        options = {
            "spaces": AddressSpace.LOOPBACK,
            "self_addresses": here,
            "witness": False,
            **options,
        }
        return Client(reactor or self.reactor, **options)

    async def visit(self, port: int, wire: Wire | None = None) -> Wire:
        """Connect to a port on 127.0.0.1."""
        wire = Wire() if wire is None else wire
        await connectProtocol(TCP4ClientEndpoint(REACTOR, "127.0.0.1", port), wire)
        self.addCleanup(self._hang_up, wire)
        return wire

    async def _hang_up(self, wire: Wire) -> None:
        gone = wire.lost()
        if not gone.called:
            cast(Any, wire.transport).abortConnection()
        await gone

    def assert_nothing_left(self, reactor: SteppedReactor | None = None) -> None:
        """The client has closed what it opened."""
        reactor = reactor or self.reactor
        self.assertTrue(reactor.ports, "it never listened")
        self.assertEqual(reactor.left_over(), [])
