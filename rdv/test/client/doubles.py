"""
Test doubles for the client: a transport, a resolver and a reactor in memory, and attempts in which
the test plays the server, the peer, the network and the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IResolutionReceiver,
)
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rdv.addresses import Address, AddressSpace, parse_address
from rdv.client import Client, Connection, relay_penalty, tls_policy
from rdv.client.context import Context, Settings
from rdv.client.dial.shared_port import IClientReactor
from rdv.test.doubles import collect_garbage
from rdv.wire import Role


def here(port: int) -> list[Address]:
    """The addresses of this host, as far as tests are concerned."""
    return [parse_address(f"127.0.0.1:{port}")]


def tcp_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """As Twisted has it."""
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """``data``, cut at some of its positions."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


class ByteTransport(StringTransport):
    """
    Twisted's ``StringTransport`` with a protocol, and with half-close.

    :ivar protocol: gets what :meth:`deliver` and :meth:`lose` bring.
    :ivar write_ended: whether our direction was ended alone.
    :ivar handle: the socket below, if any.
    :ivar gone: whether the end of the connection was reported.
    """

    def __init__(self, protocol: Any = None, peer: IAddress | None = None) -> None:
        super().__init__(peerAddress=peer, lenient=True)
        self.protocol = protocol
        self.write_ended = False
        self.handle: object = None
        self.gone = False

    @property
    def closing(self) -> str:
        """How it was told to close: ``""``, ``"close"`` or ``"abort"``."""
        return ("abort" if self.disconnected else "close") if self.disconnecting else ""

    def loseWriteConnection(self) -> None:
        self.write_ended = True

    def getHandle(self) -> object:
        return self.handle

    def connect(self) -> None:
        """The connection stands."""
        self.protocol.makeConnection(self)

    def deliver(self, *chunks: bytes) -> None:
        """Bytes arrive."""
        for chunk in chunks:
            self.protocol.dataReceived(chunk)

    def end(self) -> None:
        """The other side has ended its direction."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.lose()

    def lose(self, error: Exception | None = None) -> Failure:
        """The connection is gone."""
        self.gone = True
        reason = Failure(error or ConnectionDone())
        self.protocol.connectionLost(reason)
        return reason


@implementer(IHostnameResolver)
class Resolver:
    """
    A resolver with a table of names.

    :param names: addresses by name; a name that is missing does not resolve.
    :ivar silent: never complete a resolution.
    :ivar asked: names and kinds of addresses that were asked for.
    :ivar receivers: the receivers of the results.
    """

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.names = names
        self.silent = False
        self.asked: list[tuple[str, list[type[IAddress]]]] = []
        self.receivers: list[IResolutionReceiver] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        kinds = list(addressTypes or [IPv4Address, IPv6Address])
        self.asked.append((hostName, kinds))
        self.receivers.append(resolutionReceiver)
        if not self.silent:
            for host in self.names.get(hostName, ()):
                address = tcp_address(host, portNumber)
                if type(address) in kinds:
                    resolutionReceiver.addressResolved(address)
            resolutionReceiver.resolutionComplete()
        return cast(IHostResolution, None)

    def answer(self, host: str) -> None:
        """After a silence: the name that was asked for last is that of this address."""
        self.receivers[-1].addressResolved(tcp_address(host, 80))
        self.receivers[-1].resolutionComplete()


class _MemoryPort:
    def __init__(self, number: int) -> None:
        self.getHost = lambda: IPv6Address("TCP", "::", number)
        self.open = True

    def stopListening(self) -> None:
        self.open = False


@implementer(IClientReactor)
class ClientReactor(MemoryReactorClock):
    """
    A reactor with everything in memory.

    :ivar number: the number of the port on which the client listens.
    :ivar bindings: what was listened on.
    :ivar ports: the listening ports.
    :ivar transports: the connections that were dialled.
    """

    number = 40000

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__()
        self.nameResolver = self.resolver = Resolver(names or {})
        self.bindings: list[object] = []
        self.ports: list[_MemoryPort] = []
        self.transports: list[ByteTransport] = []

    def listenTCP(
        self, port: object, factory: object, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        super().listenTCP(self.number, factory, backlog, interface)
        self.bindings.append(port)
        listening = _MemoryPort(self.number)
        self.ports.append(listening)
        return cast(IListeningPort, listening)

    def connected(self, index: int = -1) -> ByteTransport:
        """The ``index``-th dial succeeds."""
        host, port, factory = self.tcpClients[index][:3]
        return self.connect(factory, host, port)

    def connect(self, factory: Any, host: str, port: int) -> ByteTransport:
        """``factory`` gets a connection with that address at the other end."""
        peer = tcp_address(host, port)
        transport = ByteTransport(factory.buildProtocol(peer), peer)
        self.transports.append(transport)
        transport.connect()
        return transport

    def failed(self, error: Exception, index: int = -1) -> None:
        """The ``index``-th dial fails."""
        self.tcpClients[index][2].clientConnectionFailed(self.connectors[index], Failure(error))


TOKEN = "token"
HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"
URL = "http://192.0.2.80:8080/rdv"
OWN = "198.51.100.1:40000"
PEER = "203.0.113.9:41000"


def answer(*peers: str | Address, extra: str = "") -> bytes:
    """A 101 that names ``peers``."""
    names = ", ".join(map(str, peers))
    return (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
        f"Rdv-Peer-Addrs: {names}\r\n{extra}\r\n"
    ).encode()


def context(clock: Any, role: Role = Role.DIALER, **changes: Any) -> Context:
    """That of an attempt of its own; ``changes`` are settings."""
    settings = {
        "tls": tls_policy(),
        "spaces": AddressSpace.ALL,
        "self_addresses": lambda port: [],
        "port_mapping": None,
        "local_port": 0,
        "lowest_port": 1024,
        "chooser": relay_penalty(2.0),
        "server_timeout": 10.0,
        "handshake_timeout": 30.0,
        "move": True,
        **changes,
    }
    return Context(clock, Settings(**settings), role, TOKEN.encode())


class AttemptTestCase(SynchronousTestCase):
    """
    One attempt of a client whose own address is :data:`OWN`.

    :ivar server: the connection to the server.
    :ivar attempt: its result.
    """

    attempt: Deferred[Connection]
    server: ByteTransport

    def setUp(self) -> None:
        self.reactor = ClientReactor()
        self.addCleanup(self._end, self.reactor)

    def _end(self, reactor: ClientReactor) -> None:
        """Leave no coroutine behind that would have to be killed."""
        self.attempt.addErrback(lambda _: None)
        for transport in reactor.transports:
            if not transport.gone:
                transport.lose()
        self.attempt.cancel()
        collect_garbage()

    def client(self, **options: Any) -> Client:
        """A client in memory."""
        options = {
            "spaces": AddressSpace.ALL,
            "self_addresses": lambda port: [parse_address(OWN)],
            **options,
        }
        return Client(self.reactor, **options)

    def dial(self, timeout: float | None = None, **options: Any) -> None:
        """A dialer's request has arrived at the server."""
        self._ask(self.client(**options).dial(URL, TOKEN, timeout=timeout))

    def accept(self, timeout: float | None = None, **options: Any) -> None:
        """An acceptor's request has arrived at the server."""
        self._ask(self.client(**options).accept(URL, TOKEN, timeout=timeout))

    def _ask(self, attempt: Deferred[Connection]) -> None:
        self.attempt = attempt
        self.server = self.reactor.connected()
        if self.server.value().startswith(b"CONNECT "):  # it is a proxy
            self.server.clear()
            self.server.deliver(b"HTTP/1.1 200 OK\r\n\r\n")

    def answer(self, *peers: str) -> None:
        """The server introduces the peers."""
        self.server.clear()
        self.server.deliver(answer(*peers))

    def dialled(self) -> list[str]:
        """The peer's addresses that are dialled."""
        return [f"{host}:{port}" for host, port, *_ in self.reactor.tcpClients[1:]]

    def arrive(self, host: str = "203.0.113.9", port: int = 41000) -> ByteTransport:
        """Somebody connects to the shared port."""
        return self.reactor.connect(self.reactor.tcpServers[0][1], host, port)

    def assert_done(self, *transports: ByteTransport) -> None:
        """``transports`` are being closed, and when they are, nothing is left."""
        for transport in transports:
            self.assertNotEqual(transport.closing, "")
            transport.lose()
        self.assertFalse(any(port.open for port in self.reactor.ports))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
