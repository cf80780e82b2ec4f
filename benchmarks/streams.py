"""
One stream to another process, for benchmarks: a sender, the other side, and measurements of
throughput and CPU.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from benchmarks.common import Program

__all__ = ["MIB", "Counter", "close", "connect", "stdin_ended", "throughput"]

MIB = 1 << 20
_PIECE = bytes(1 << 16)


class Counter(Protocol):
    """The other side: sends a greeting, and a byte for each ``size`` received bytes."""

    transport: Any

    def __init__(self) -> None:
        self._missing: int | None = None
        self._head = b""

    def connectionMade(self) -> None:
        # As rdv does; it makes a difference of more than a tenth.
        self.transport.setTcpNoDelay(True)
        self.transport.write(b"!")

    def dataReceived(self, data: bytes) -> None:
        if self._missing is None:
            self._head += data
            size, newline, rest = self._head.partition(b"\n")
            if not newline:
                return
            self._missing, data = int(size), rest
        self._missing -= len(data)
        if self._missing == 0:
            self._missing, self._head = None, b""
            self.transport.write(b"!")


@implementer(IPushProducer)
class _Sender(Protocol):
    """This side: reports the greeting, and sends."""

    transport: Any

    def __init__(self) -> None:
        self._waiter: Deferred[None] = Deferred()
        self.greeted = self._waiter
        self.gone: Deferred[None] = Deferred()
        self._missing = 0
        self._paused = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self._waiter.callback(None)

    def send(self, size: int) -> Deferred[None]:
        """Fires when everything has arrived."""
        self._waiter = Deferred()
        self._missing = size
        self.transport.write(b"%d\n" % size)
        self.transport.registerProducer(self, True)
        self.resumeProducing()
        return self._waiter

    def resumeProducing(self) -> None:
        self._paused = False
        while self._missing and not self._paused:
            self._missing -= len(_PIECE)
            self.transport.write(_PIECE)
        if not self._missing:
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self._paused = True

    def stopProducing(self) -> None:
        self._missing = 0

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class _Orders(Protocol):
    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


async def stdin_ended() -> None:
    """Wait until the parent process closes stdin."""
    orders = _Orders()
    StandardIO(orders)
    await orders.ended


async def connect(endpoint: IStreamClientEndpoint) -> tuple[_Sender, float]:
    """A connection, and the seconds until the peer's greeting has arrived."""
    factory = Factory.forProtocol(_Sender)
    factory.noisy = False
    begun = time.perf_counter()
    sender: Any = await endpoint.connect(factory)
    await sender.greeted
    return sender, time.perf_counter() - begun


async def close(sender: _Sender) -> None:
    sender.transport.loseConnection()
    await sender.gone


async def throughput(endpoint: IStreamClientEndpoint, other: Program, size: int) -> list[float]:
    """MiB per second, and the CPU seconds per GiB of both sides together."""
    sender, _ = await connect(endpoint)
    await sender.send(MIB * 4)  # slow start and probation are over after this
    cpu, own, begun = other.cpu(), time.process_time(), time.perf_counter()
    await sender.send(size)
    took = time.perf_counter() - begun
    used = other.cpu() - cpu + time.process_time() - own
    await close(sender)
    return [size / MIB / took, used * 1024 * MIB / size]
