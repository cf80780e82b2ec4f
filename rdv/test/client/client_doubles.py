"""
Test doubles for the client: a transport, a resolver and a reactor in memory, and protocols that
tell what they have got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address as IPv4
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
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import Address
from rdv.client.dial.shared_port import IClientReactor

LOOPBACK = IPv4("127.0.0.1")


def here(port: int) -> list[Address]:
    """The addresses of this host, as far as tests are concerned."""
    return [Address(LOOPBACK, port)]


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """``data``, cut at some of its positions."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


class ByteTransport(StringTransport):
    """
    A ``StringTransport`` with a protocol, and with half-close.

    :ivar protocol: gets what :meth:`deliver` and :meth:`lose` bring.
    :ivar write_ended: whether our direction was ended alone.
    :ivar handle: the socket below, if there is to be one.
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
    Knows the names that it is told.

    :param names: addresses by name; a name that is missing does not resolve.
    :ivar silent: never complete a resolution.
    :ivar asked: names and kinds of addresses that were asked for.
    :ivar receivers: who asked.
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
                kind = IPv6Address if ":" in host else IPv4Address
                if kind in kinds:
                    resolutionReceiver.addressResolved(kind("TCP", host, portNumber))
            resolutionReceiver.resolutionComplete()
        return cast(IHostResolution, None)

    def answer(self, host: str) -> None:
        """After a silence: the name that was asked for last is that of this address."""
        kind = IPv6Address if ":" in host else IPv4Address
        self.receivers[-1].addressResolved(kind("TCP", host, 80))
        self.receivers[-1].resolutionComplete()


class _MemoryPort:
    def __init__(self, address: IAddress) -> None:
        self._address = address
        self.open = True

    def getHost(self) -> IAddress:
        return self._address

    def stopListening(self) -> None:
        self.open = False


@implementer(IClientReactor)
class ClientReactor(MemoryReactorClock):
    """
    Everything in memory.

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
        listening = _MemoryPort(IPv6Address("TCP", "::", self.number))
        self.ports.append(listening)
        return cast(IListeningPort, listening)

    def connected(self, index: int = -1) -> ByteTransport:
        """The ``index``-th dial succeeds."""
        host, port, factory = self.tcpClients[index][:3]
        kind = IPv6Address if ":" in host else IPv4Address
        transport = ByteTransport(peer=kind("TCP", host, port))
        self.transports.append(transport)
        transport.protocol = cast(Factory[Any], factory).buildProtocol(transport.getPeer())
        transport.connect()
        return transport

    def failed(self, error: Exception, index: int = -1) -> None:
        """The ``index``-th dial fails."""
        self.tcpClients[index][2].clientConnectionFailed(self.connectors[index], Failure(error))


class Wire(Protocol):
    """
    Records what it gets, and tells when it has got something in particular.

    :ivar data: what has come.
    :ivar lost: fires with all the data when the connection is gone; does not take part in others'
        chains.
    """

    def __init__(self) -> None:
        self.data = b""
        self.reason: Failure | None = None
        self.made: Deferred[Wire] = Deferred()
        self._waiters: list[tuple[Callable[[], bool], Deferred[bytes]]] = []

    @property
    def port(self) -> int:
        """The port of the other end."""
        return cast(IPv4Address, cast(ITransport, self.transport).getPeer()).port

    def until(self, expected: bytes) -> Deferred[bytes]:
        """Fires with all the data when ``expected`` is in it; fails when it cannot come."""
        return self._when(lambda: expected in self.data)

    def lost(self) -> Deferred[bytes]:
        """Fires with all the data when the connection is gone."""
        return self._when(lambda: self.reason is not None)

    def _when(self, true: Callable[[], bool]) -> Deferred[bytes]:
        waiter: Deferred[bytes] = Deferred()
        self._waiters.append((true, waiter))
        self._check()
        return waiter

    def _check(self) -> None:
        for entry in list(self._waiters):
            true, waiter = entry
            if true():
                self._waiters.remove(entry)
                waiter.callback(self.data)
            elif self.reason is not None:
                self._waiters.remove(entry)
                waiter.errback(AssertionError(f"the connection ended after {self.data!r}"))

    def write(self, data: bytes) -> None:
        """Send."""
        cast(ITransport, self.transport).write(data)

    def close(self) -> None:
        """Close the connection behind what was written."""
        cast(ITransport, self.transport).loseConnection()

    def connectionMade(self) -> None:
        self.made.callback(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self._check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self._check()


@implementer(IHalfCloseableProtocol)
class HalfWire(Wire):
    """
    A :class:`Wire` that goes on when the other side has ended its direction.

    :ivar read_ended, write_ended: how often each was reported.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read_ended = 0
        self.write_ended = 0

    def readConnectionLost(self) -> None:
        self.read_ended += 1
        self._check()

    def writeConnectionLost(self) -> None:
        self.write_ended += 1

    def ended(self) -> Deferred[bytes]:
        """Fires with all the data when the other side has ended its direction."""
        return self._when(lambda: self.read_ended > 0)
