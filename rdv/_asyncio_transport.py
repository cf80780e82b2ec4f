"""
An asyncio protocol over a Twisted transport.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.trsock import TransportSocket
from typing import Any, cast

from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._system.sockets import socket_of

__all__ = ["AsyncioTransport"]

#: Bytes that are passed on at a time. A Twisted transport reports that it is full when it holds
#: more than that, but not how much it holds.
_PIECE = 1 << 16


@implementer(IHalfCloseableProtocol, IPushProducer)
class AsyncioTransport(Protocol, asyncio.Transport):
    """
    A protocol for Twisted, and for asyncio a transport with the features of asyncio's own.

    Data that the transport below does not accept waits here. The buffer size does not include up to
    64 KiB of the data that it has accepted.

    :param protocol: gets everything, as from an asyncio transport.
    """

    transport: Any = None
    _start_tls_compatible = True  # what the loop's start_tls() looks for

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        asyncio.Transport.__init__(self)
        self._protocol: Any = protocol
        self._held = bytearray()
        self._full = self._paused = self._ended = self._closing = False
        self._reading = True
        self.set_write_buffer_limits()

    # What the transport below calls.

    def connectionMade(self) -> None:
        peer, host = self.transport.getPeer(), self.transport.getHost()
        self._names = {"peername": _name(peer), "sockname": _name(host)}
        self.transport.registerProducer(self, True)
        self._protocol.connection_made(self)

    def dataReceived(self, data: bytes) -> None:
        if not isinstance(self._protocol, asyncio.BufferedProtocol):
            self._protocol.data_received(data)
            return
        left = memoryview(data)
        while left:
            buffer = memoryview(self._protocol.get_buffer(len(left))).cast("B")
            size = min(len(buffer), len(left))
            buffer[:size] = left[:size]
            left = left[size:]
            self._protocol.buffer_updated(size)

    def readConnectionLost(self) -> None:
        if not self._protocol.eof_received():
            self.close()

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: asyncio has asked for it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See :class:`IProtocol`. Later calls have no effect, as with asyncio's own transports."""
        self._closing = True
        self._held.clear()
        clean = reason.check(ConnectionDone)
        error = None if clean else ConnectionResetError(reason.getErrorMessage())
        self._protocol.connection_lost(error)

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`: the writer is too fast."""
        self._full = True
        self._pass_on()

    def resumeProducing(self) -> None:
        self._full = False
        self._pass_on()

    def stopProducing(self) -> None:
        """The connection is lost; this is also reported."""

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"write() needs bytes, not {type(data).__name__}")
        if self._ended:
            raise RuntimeError("nothing can be written after write_eof()")
        if not self._closing:
            self._held += data
            self._pass_on()

    def _pass_on(self) -> None:
        while self._held and not self._full:
            piece = bytes(self._held[:_PIECE])
            del self._held[:_PIECE]
            self.transport.write(piece)
        self._look()

    def _look(self) -> None:
        size = self.get_write_buffer_size()
        if size > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()
        elif size <= self._low and self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def _writes_no_more(self) -> None:
        if not self._ended:
            self._ended = True
            self.transport.unregisterProducer()
            self.resumeProducing()

    def get_write_buffer_size(self) -> int:
        return len(self._held) + (_PIECE + 1 if self._full else 0)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _PIECE if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._low, self._high = low, high
        self._look()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended and not self._closing:
            self._writes_no_more()
            self.transport.loseWriteConnection()

    # Reading.

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        self._reading = True
        self.transport.resumeProducing()

    # The rest.

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self._protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name != "socket":
            return self._names.get(name, default)
        sock = socket_of(self.transport)  # it may be another one once the path is final
        return default if sock is None else TransportSocket(sock)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._writes_no_more()
            self._closing = True
            self.transport.loseConnection()

    def abort(self) -> None:
        if self.transport is None:
            return
        self._closing = True
        self._held.clear()
        self.transport.abortConnection()

    def _force_close(self, error: Exception) -> None:
        """Called by asyncio's TLS."""
        self.abort()


def _name(address: Any) -> object:
    """An address in asyncio's form."""
    if isinstance(address, IPv6Address):
        return address.host, address.port, address.flowInfo, address.scopeID
    if hasattr(address, "port"):
        return address.host, address.port
    name = getattr(address, "name", None)  # of a Unix socket
    return os.fsdecode(name) if isinstance(name, bytes) else name
