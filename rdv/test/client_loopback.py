"""
The client on real sockets: a reactor whose clock only the test moves, and servers on loopback that
do as they are told.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
from collections.abc import Container, Iterator, Sequence
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
)
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.client.shared_port import IClientReactor
from rdv.server import Rendezvous, RendezvousResource
from rdv.test.client_doubles import Wire, here

REACTOR: Any = global_reactor


def has_ipv6() -> bool:
    """Whether this host has an IPv6 loopback."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


@implementer(IClientReactor)
class SteppedReactor:
    """
    A reactor with real sockets, and a clock that stands still until the test moves it.

    :ivar clock: the clock.
    :ivar ports: the numbers of all ports that were listened on.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._awaited: list[tuple[float, Deferred[None]]] = []
        self._soon: list[IDelayedCall] = []
        self.clock = Clock()
        self.ports: list[int] = []
        self.nameResolver = reactor.nameResolver

    def installNameResolver(  # noqa: N802
        self, resolver: IHostnameResolver
    ) -> IHostnameResolver:
        raise NotImplementedError

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        listening: IListeningPort = self._reactor.listenTCP(port, factory, backlog, interface)
        self.ports.append(cast(IPv4Address, listening.getHost()).port)
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        connector = self._reactor.connectTCP(host, port, factory, timeout, bindAddress)
        return cast(IConnector, connector)

    def seconds(self) -> float:
        return self.clock.seconds()

    def callLater(  # type: ignore[override]
        self, delay: float, function: Any, *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        if delay == 0:  # soon is soon, even where time stands still
            soon: IDelayedCall = self._reactor.callLater(0, function, *args, **kwargs)
            self._soon.append(soon)
            return soon
        call = self.clock.callLater(delay, function, *args, **kwargs)
        for awaited in list(self._awaited):
            if awaited[0] == delay:
                self._awaited.remove(awaited)
                # Not from here: the caller has yet to store the call.
                self._reactor.callLater(0, awaited[1].callback, None)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return [*self.clock.getDelayedCalls(), *(call for call in self._soon if call.active())]

    def scheduled(self, delay: float) -> Deferred[None]:
        """Fires when somebody next asks for a call after ``delay`` seconds."""
        awaited: Deferred[None] = Deferred()
        self._awaited.append((delay, awaited))
        return awaited

    def left_over(self) -> list[str]:
        """What the client has not cleaned up: delayed calls, and sockets bound to its ports."""
        return [*map(str, self.getDelayedCalls()), *sockets_at(self.ports)]


def sockets_at(ports: Container[int]) -> list[str]:
    """This process's IP sockets that are bound to one of ``ports``."""
    found = []
    for sock in _own_sockets():
        local = sock.getsockname()
        if local[1] in ports:
            found.append(f"socket at {local}")
    return found


def keep_alive_states(port: int) -> dict[str, bool]:
    """Whether keepalive is on, by the other end, for the connections from ``port``."""
    found = {}
    for sock in _own_sockets():
        if sock.getsockname()[1] == port:
            with contextlib.suppress(OSError):  # not connected
                host, number = sock.getpeername()[:2]
                on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                found[f"{host}:{number}"] = bool(on)
    return found


def _own_sockets() -> Iterator[socket.socket]:
    for name in os.listdir("/dev/fd"):
        try:
            duplicate = os.dup(int(name))
        except OSError:
            continue  # the one that lists the directory is gone again
        if not stat.S_ISSOCK(os.fstat(duplicate).st_mode):
            os.close(duplicate)
            continue
        with socket.socket(fileno=duplicate) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                yield sock


class RawServer(ServerFactory[Any]):
    """
    Listens on loopback; what it says is up to the test.

    :ivar wires: all connections so far.
    :ivar greeting: said on each connection at once.
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
    """Tells who comes."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        super().__init__(rendezvous)
        self.arrivals: DeferredQueue[None] = DeferredQueue()

    def render(self, request: IRequest) -> int | bytes:
        result = super().render(request)
        self.arrivals.put(None)
        return result


class RealServer:
    """
    The real thing on loopback, with a clock of its own.

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
        self.url = f"{scheme}://{host}:{self._port.getHost().port}/rdv"
        test.addCleanup(self._stop)

    def arrival(self) -> Deferred[None]:
        """The next client that has come and been answered, or waits; each only once."""
        return self._resource.arrivals.get()

    async def _stop(self) -> None:
        await self._port.stopListening()
        closed = self.rendezvous.close()
        self.clock.advance(10)
        await closed


class LoopbackTestCase(TestCase):
    """
    Clients that know no other address than 127.0.0.1.

    :ivar reactor: the reactor of :meth:`client`.
    """

    timeout = 30

    def setUp(self) -> None:
        self.reactor = SteppedReactor(REACTOR)
        # Last of all: a Deferred that is dropped with an error in it fails this test, no other.
        self.addCleanup(gc.collect)

    def client(self, reactor: SteppedReactor | None = None, **options: Any) -> Client:
        """A client that dials nothing but loopback."""
        options = {"spaces": AddressSpace.LOOPBACK, "self_addresses": here, **options}
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
