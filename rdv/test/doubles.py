"""
Test doubles: TCP connections in memory, and protocols that record what happens to them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IProtocol, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import Address, parse_ip
from rdv.testing import transport as testing
from rdv.testing.transport import MemorySocket, Selector

SERVER = IPv4Address("TCP", "198.51.100.1", 8080)
CLIENT = IPv4Address("TCP", "203.0.113.9", 39841)

T = TypeVar("T")


def besides_the_look(calls: Iterable[IDelayedCall]) -> list[IDelayedCall]:
    """Those but that of :mod:`rdv._transport.liveness`, which looks at established connections."""
    return [call for call in calls if "_Watch." not in str(call)]


def collect_garbage() -> None:
    """
    Make a Deferred that was dropped with an error in it fail this test, and no other. What was
    there before the first call, mostly modules, is not looked at again: that would take long.
    """
    gc.collect()
    _freeze()


@cache
def _freeze() -> None:
    gc.freeze()


def present(value: T | None) -> T:
    """``value``, which is there."""
    assert value is not None
    return value


class ClockedSelector(Selector):
    """Moves its connections in later turns of a clock, while there is something to move."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.callLater = clock.callLater
        self._is_due = False

    def wake(self) -> None:
        """There may be something to move."""
        if not self._is_due:
            self._is_due = True
            self.callLater(0, self._move)

    def _move(self) -> None:
        self._is_due = False
        if self.turn():
            self.wake()

    def addReader(self, reader: object) -> None:
        super().addReader(reader)
        self.wake()

    def addWriter(self, writer: object) -> None:
        super().addWriter(writer)
        self.wake()

    def forget(self, transport: testing.MemoryTransport) -> None:
        super().forget(transport)
        self.wake()


class MemoryTransport(testing.MemoryTransport):
    """
    One end of a TCP connection in memory, for tests that have a clock: what is written arrives in a
    later turn of it (``clock.advance(0)`` settles everything). The kernel buffers nothing for an
    end that is paused: what it does not read waits at the other end.

    :ivar protocol: gets what arrives.
    :ivar other: the other end.
    :ivar writes: what was written, call by call.
    """

    limit = testing.MemoryTransport.bufferSize
    other: MemoryTransport

    def __init__(self, sock: MemorySocket, selector: ClockedSelector) -> None:
        super().__init__(sock, Recorder(), selector)
        self._selector = selector
        self.writes: list[bytes] = []
        selector.watch(self)
        selector.addReader(self)

    @property
    def buffered(self) -> int:
        """How many bytes wait for the other end."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    @property
    def paused(self) -> bool:
        """Whether it does not read."""
        return self not in self._selector._reading

    @property
    def aborted(self) -> bool:
        """Whether it was told to abort."""
        return self._aborting

    def write(self, data: bytes) -> None:
        if data and self.connected and not (self._writeDisconnected or self._aborting):
            self.writes.append(data)
        super().write(data)

    def write_some(self) -> bool:
        other = self.other
        if other.connected and other.paused and not other.disconnecting:
            return False
        return super().write_some()

    def lose(self, reason: Exception) -> None:
        """End this end; the other one hears of it."""
        if not isinstance(reason, ConnectionDone):
            self.cut()
        self.connectionLost(Failure(reason))


class Recorder(Protocol):
    """
    Records what it gets.

    :ivar pieces: the data, call by call.
    :ivar lost: why the connection ended; None while it is established.
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
    The same, with support for half-close.

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
    Records what it receives; a test can wait for particular data.

    :ivar data: what has come.
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
    A :class:`Wire` that supports half-close.

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
    selector = ClockedSelector(clock)
    names = [Address(parse_ip(each.host), each.port) for each in (SERVER, client)]
    sockets = MemorySocket.pair(*names)
    at_server, at_client = (MemoryTransport(sock, selector) for sock in sockets)
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
