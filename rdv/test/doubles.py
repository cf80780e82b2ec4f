"""
Test doubles: TCP connections in memory, and protocols that record what happens to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

SERVER = IPv4Address("TCP", "198.51.100.1", 8080)
CLIENT = IPv4Address("TCP", "203.0.113.9", 39841)

T = TypeVar("T")


def besides_the_look(calls: Iterable[IDelayedCall]) -> list[IDelayedCall]:
    """
    Those but the one that belongs to connections that stand: see :mod:`rdv._transport.liveness`.
    """
    return [call for call in calls if "_Watch." not in str(call)]


def present(value: T | None) -> T:
    """``value``, which is there."""
    assert value is not None
    return value


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a TCP connection without a network. It follows ``tcp.Connection``: what is written
    arrives in a later turn of the clock (``clock.advance(0)`` settles everything), a registered
    producer is paused above :attr:`limit` bytes and stopped at the end, and an end that is paused
    makes the other end's buffer fill up.

    :ivar protocol: gets what arrives.
    :ivar other: the other end.
    :ivar writes: what was written, call by call.
    :ivar buffered: how many bytes wait for the other end.
    """

    limit = 1 << 16

    def __init__(self, clock: Clock, host: IPv4Address, peer: IPv4Address) -> None:
        self._clock = clock
        self._host = host
        self._peer = peer
        self.protocol: IProtocol = Recorder()
        self.other = self
        self.writes: list[bytes] = []
        self.connected = True
        self.paused = False
        self.disconnecting = False
        self.aborted = False
        self.buffered = 0
        self.producer: IPushProducer | None = None
        self._producer_paused = False
        self._pulling = False
        self._queue: list[bytes] = []
        self._ending = False
        self._write_ended = False
        self._fin_received = False
        self._reset_received = False

    # What protocols call.

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if not self.connected or self._write_ended or self.aborted or not data:
            return
        self.writes.append(data)
        self._queue.append(data)
        self.buffered += len(data)
        if self.producer is not None and not self._pulling and self.buffered > self.limit:
            self._producer_paused = True
            self.producer.pauseProducing()
        self._later()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.paused = True
            if self._write_ended:
                self.lose(ConnectionDone())  # at once, as tcp.Connection has it
            else:
                self.disconnecting = True
                self._later()

    def abortConnection(self) -> None:
        if self.connected and not self.aborted:
            self.aborted = True
            self._queue.clear()
            self._clock.callLater(0, self._reset)

    def loseWriteConnection(self) -> None:
        self._ending = True
        self._later()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("a second producer")
        push_producer = cast(IPushProducer, producer)
        if not self.connected:
            push_producer.stopProducing()
            return
        self.producer = push_producer
        self._pulling = not streaming
        if self._pulling:
            push_producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self.connected and self.disconnecting:
            self._later()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        if self.connected and not self.disconnecting:
            self.paused = False
            self.other._later()
            self._clock.callLater(0, self._notice_end)

    def stopProducing(self) -> None:
        self.loseConnection()

    def getHost(self) -> IPv4Address:
        return self._host

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getTcpNoDelay(self) -> bool:
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing waits here anyhow."""

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing gets lost here anyhow."""

    # What the network does.

    def lose(self, reason: Exception) -> None:
        """End this end; the other one hears of it."""
        if not self.connected:
            return
        self.connected = False
        self._queue.clear()
        self.buffered = 0
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.other._reset_received = not isinstance(reason, ConnectionDone)
        self.other._later()
        self._clock.callLater(0, self.other._notice_end)
        self.protocol.connectionLost(Failure(reason))

    def _reset(self) -> None:
        self.lose(ConnectionAborted())

    def _later(self) -> None:
        self._clock.callLater(0, self._work)

    def _work(self) -> None:
        """Send what can be sent; when all is sent, do what waits for that."""
        while self.connected and self._queue and not (self.other.paused and self.other.connected):
            data = self._queue.pop(0)
            self.buffered -= len(data)
            self.other._receive(data)
        if not self.connected or self._queue or self.aborted:
            return
        if self.producer is not None and (self._pulling or self._producer_paused):
            self._producer_paused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self.lose(ConnectionDone())
        elif self._ending and not self._write_ended:
            self._write_ended = True
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.writeConnectionLost()
        self.other._notice_end()

    def _receive(self, data: bytes) -> None:
        if not self.connected:
            self.other.lose(ConnectionLost())
        elif not self.aborted:
            self.protocol.dataReceived(data)

    def _notice_end(self) -> None:
        """Hear of a FIN or a reset, if there is one."""
        if not self.connected or self.aborted:
            return
        if self._reset_received:
            self.lose(ConnectionLost())
        elif self._is_at_end() and not self._fin_received and not self.paused:
            self._fin_received = True
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.readConnectionLost()
            else:
                self.lose(ConnectionDone())

    def _is_at_end(self) -> bool:
        return not self.other.connected or (self.other._write_ended and not self.other._queue)


class Recorder(Protocol):
    """
    Records what it gets.

    :ivar pieces: the data, call by call.
    :ivar lost: why the connection ended; None while it stands.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: Failure | None = None

    @property
    def received(self) -> bytes:
        """All the data."""
        return b"".join(self.pieces)

    @property
    def lost_cleanly(self) -> bool:
        """Whether the connection has ended, and without an error."""
        return self.lost is not None and self.lost.check(ConnectionDone) is not None

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert self.lost is None
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfCloseRecorder(Recorder):
    """
    The same, and it knows the two directions apart.

    :ivar read_ended: how often the end of the other side's direction was reported.
    :ivar write_ended: how often that of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read_ended = 0
        self.write_ended = 0

    def readConnectionLost(self) -> None:
        self.read_ended += 1

    def writeConnectionLost(self) -> None:
        self.write_ended += 1


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


def ends(clock: Clock, client: IPv4Address = CLIENT) -> tuple[MemoryTransport, MemoryTransport]:
    """A connection: the server's end and the client's, both still without a protocol."""
    at_server = MemoryTransport(clock, SERVER, client)
    at_client = MemoryTransport(clock, client, SERVER)
    at_server.other, at_client.other = at_client, at_server
    return at_server, at_client


def connect(
    clock: Clock, server: IProtocol, client: IProtocol, address: IPv4Address = CLIENT
) -> tuple[MemoryTransport, MemoryTransport]:
    """Connect two protocols: the server's transport and the client's."""
    at_server, at_client = ends(clock, address)
    at_server.protocol, at_client.protocol = server, client
    server.makeConnection(at_server)
    client.makeConnection(at_client)
    return at_server, at_client
