"""
TCP connections in memory: the two sockets of a connection, Twisted's connection over each, and the
code that moves data between them.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv.addresses import Address

__all__ = ["BUFFER", "MemorySocket", "MemoryTransport", "Selector", "twisted_address"]

log = Logger()

#: The maximum number of bytes in flight in one direction; a sender waits for room.
BUFFER = 1 << 16

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class MemorySocket:
    """
    One end. Sent data arrives immediately, and an operation that is not possible now raises
    ``BlockingIOError``.

    Resets are as in Linux: a reset arrives after the bytes and the end that were sent before it. A
    socket sends one if it is closed with unread bytes, or receives bytes after it was closed.

    :ivar name: its own address.
    :ivar peer_name: that of the other end.
    """

    def __init__(self, name: Address, peer_name: Address) -> None:
        self.name = name
        self.peer_name = peer_name
        self._peer = self
        self._incoming = bytearray()
        self._ended = self._reset = self._closed = False
        self._options: dict[tuple[int, int], int | bytes] = {}

    @classmethod
    def pair(cls, name: Address, other: Address) -> tuple[MemorySocket, MemorySocket]:
        """Both ends of a new connection."""
        near, far = cls(name, other), cls(other, name)
        near._peer, far._peer = far, near
        return near, far

    @property
    def readable(self) -> bool:
        """Whether there are bytes, an end or an error."""
        return bool(self._incoming) or self._ended or self._reset

    @property
    def writable(self) -> bool:
        """Whether there is room, or an error."""
        broken = self._reset or self._peer._closed
        return broken or len(self._peer._incoming) < BUFFER

    def reset(self) -> None:
        """The network breaks the connection."""
        self._reset = self._peer._reset = True

    # The methods of a socket.

    def recv(self, size: int) -> bytes:
        """Received data; ``b""`` for the end."""
        data = bytes(self._incoming[:size])
        del self._incoming[:size]
        if data or self._ended:
            return data
        raise _error(errno.ECONNRESET if self._reset else errno.EWOULDBLOCK)

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as there is room for."""
        if self._reset:
            raise _error(errno.EPIPE)
        if data and self._peer._closed:  # which is noticed when the response arrives
            self._reset = True
            return len(data)
        there = self._peer._incoming
        piece = data[: BUFFER - len(there)]
        if data and not piece:
            raise _error(errno.EWOULDBLOCK)
        there += piece
        return len(piece)

    def shutdown(self, how: int) -> None:
        """End our direction; nothing needs to be done for the other one."""
        if how != socket.SHUT_RD and not self._reset:
            self._peer._ended = True

    def close(self) -> None:
        """End or reset, depending on the options. After a reset, nothing more is sent."""
        self._closed = True
        if self._reset:
            return
        aborts = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER)) == _RESET_ON_CLOSE
        if aborts or self._incoming:
            self._peer._reset = True
        else:
            self._peer._ended = True

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Stored, but without effect except for ``SO_LINGER``."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int) -> int | bytes:
        """The value that was set."""
        return self._options.get((level, option), 0)

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        """It has no number."""
        return -1


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Selector:
    """
    The parts of a reactor that connections need. It does not claim ``IReactorFDSet``: there are no
    descriptors.
    """

    def __init__(self) -> None:
        self._transports: dict[MemoryTransport, None] = {}
        self._reading: set[object] = set()
        self._writing: set[object] = set()

    @property
    def transports(self) -> list[MemoryTransport]:
        """The open connections, the oldest first."""
        return list(self._transports)

    def watch(self, transport: MemoryTransport) -> None:
        """A connection is open."""
        self._transports[transport] = None

    def forget(self, transport: MemoryTransport) -> None:
        """A connection is gone."""
        self._transports.pop(transport, None)

    def addReader(self, reader: object) -> None:
        """Read when there is something."""
        self._reading.add(reader)

    def removeReader(self, reader: object) -> None:
        """Stop reading."""
        self._reading.discard(reader)

    def addWriter(self, writer: object) -> None:
        """Write when there is room."""
        self._writing.add(writer)

    def removeWriter(self, writer: object) -> None:
        """Stop writing."""
        self._writing.discard(writer)

    def turn(self) -> bool:
        """Let each connection write and read once. Returns whether one did."""
        moved = False
        for transport in self.transports:
            if transport in self._writing:
                moved |= transport.write_some()
            if transport in self._reading:
                moved |= transport.read_some()
        return moved


def twisted_address(address: Address) -> IPv4Address:
    """An address in Twisted's form."""
    return IPv4Address("TCP", str(address.ip), address.port)


class MemoryTransport(Connection):
    """
    Twisted's own TCP connection: buffers, producers, half-close, TLS and closing are as in a real
    one, because it is the same code.

    :ivar memory: its socket.
    :param host: the reactor that watches it.
    :param gone: called with the reason when the connection is gone, after its protocol.
    """

    def __init__(
        self,
        sock: MemorySocket,
        protocol: IProtocol,
        host: Selector,
        gone: Callable[[Failure], object] | None = None,
    ) -> None:
        super().__init__(cast(Any, sock), protocol, cast(Any, host))
        self.memory = sock
        self._host = host
        self._gone = gone
        self.logstr = type(protocol).__name__
        self.connected = 1

    def begin(self) -> None:
        """The connection is established."""
        self._host.watch(self)
        self._host.addReader(self)
        self.protocol.makeConnection(self)

    def getHost(self) -> IPv4Address:
        return twisted_address(self.memory.name)

    def getPeer(self) -> IPv4Address:
        return twisted_address(self.memory.peer_name)

    def cut(self) -> None:
        """The network breaks the connection."""
        self.memory.reset()

    def connectionLost(self, reason: Failure) -> None:
        if self.connected:
            super().connectionLost(reason)
            self._host.forget(self)
            if self._gone is not None:
                self._gone(reason)

    # Called by the network.

    def read_some(self) -> bool:
        """Read what has arrived. Returns whether there was anything."""
        return self.memory.readable and self._act(self.doRead, reading=True)

    def write_some(self) -> bool:
        """Write what there is room for. Returns whether there was any."""
        return self.memory.writable and self._act(self.doWrite, reading=False)

    def _act(self, action: Callable[[], Any], *, reading: bool) -> bool:
        """Call a method, and handle its result as every reactor does."""
        try:
            why = action()
        except Exception as error:
            log.failure("a protocol failed")
            why = error
        if why is not None:
            self._host.removeReader(self)
            if reading and type(why) is ConnectionDone:
                self.readConnectionLost(Failure(why))
            else:
                self.connectionLost(Failure(why))
        return True
