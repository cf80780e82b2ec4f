"""
One end of a connection, in the hands of a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

__all__ = ["Parting", "Talker", "talk_to"]

REACTOR: Any = reactor


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """
    One end of everything.

    :ivar data: what has arrived.
    :ivar read_ended: whether the other side has ended its direction.
    :ivar lost: why the connection is gone; None while it is established.
    """

    transport: ITCPTransport

    def __init__(self) -> None:
        self.made: Callable[[Talker], object] = lambda _: None
        self.data = bytearray()
        self.read_ended = False
        self.lost: Failure | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[bytes]]] = []

    def received(self, size: int) -> Deferred[bytes]:
        """All that has come, once it is at least so many bytes."""
        return self._when(lambda: len(self.data) >= size)

    def head(self) -> Deferred[bytes]:
        """All that has come, once there is the head of an HTTP message in it."""
        return self._when(lambda: b"\r\n\r\n" in self.data)

    def ended(self) -> Deferred[bytes]:
        """All that has come, at the end of the other side's direction."""
        return self._when(lambda: self.read_ended)

    def over(self) -> Deferred[bytes]:
        """All that has come, at the end of the other side's direction or of the connection."""
        return self._when(lambda: self.read_ended or self.lost is not None)

    def gone(self) -> Deferred[bytes]:
        """All that has come, when the connection is no more."""
        return self._when(lambda: self.lost is not None)

    @property
    def is_reset(self) -> bool:
        """Whether it was lost in a way that nobody takes for an end."""
        lost = self.lost
        return lost is not None and not lost.check(ConnectionDone) and not self.read_ended

    @property
    def why_lost(self) -> str:
        """The reason, for a message."""
        return "it stands" if self.lost is None else self.lost.getErrorMessage()

    def write(self, data: bytes) -> None:
        """Send."""
        self.transport.write(data)

    def end(self) -> None:
        """End this direction, if there is still one."""
        if self.lost is None:
            self.transport.loseWriteConnection()

    def close(self) -> None:
        """Close, whatever the state."""
        if self.lost is None:
            self.transport.abortConnection()

    def _when(self, true: Callable[[], bool]) -> Deferred[bytes]:
        waiter: Deferred[bytes] = Deferred()
        self._waiting.append((true, waiter))
        self._look()
        return waiter

    def _look(self) -> None:
        for entry in list(self._waiting):
            true, waiter = entry
            if true():
                self._waiting.remove(entry)
                waiter.callback(bytes(self.data))
            elif self.lost is not None:
                self._waiting.remove(entry)
                waiter.errback(AssertionError(f"lost after {len(self.data)} bytes: {self.lost}"))

    def connectionMade(self) -> None:
        self.made(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self._look()

    def readConnectionLost(self) -> None:
        self.read_ended = True
        self._look()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self._look()


class Parting(Talker):
    """Closes, after what it has written, when the other side has ended its direction."""

    def readConnectionLost(self) -> None:
        super().readConnectionLost()
        self.transport.loseConnection()


async def talk_to(test: TestCase, port: int) -> Talker:
    """Connect to a port of this host, until the test ends."""
    endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", port)
    talker: Talker = await connectProtocol(endpoint, Talker())
    test.addCleanup(talker.close)
    return talker
