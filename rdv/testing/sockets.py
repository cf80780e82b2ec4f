"""
Two ends of a TCP connection in memory, with as much of a socket as Twisted's connections use.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from rdv.addresses import Address

__all__ = ["BUFFER", "MemorySocket"]

#: Bytes that are on their way in one direction at most: a sender waits behind them.
BUFFER = 1 << 16

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class MemorySocket:
    """
    One end. What is sent is there at once, and what cannot be done now raises ``BlockingIOError``.

    Resets are as with Linux: one arrives behind the bytes and the end that came before it; to close
    with bytes unread sends one; and so does whoever gets bytes after having closed.

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

    # As a socket has them.

    def recv(self, size: int) -> bytes:
        """What has come; ``b""`` for the end."""
        data = bytes(self._incoming[:size])
        del self._incoming[:size]
        if data or self._ended:
            return data
        raise _error(errno.ECONNRESET if self._reset else errno.EWOULDBLOCK)

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as there is room for."""
        if self._reset:
            raise _error(errno.EPIPE)
        if data and self._peer._closed:  # which is noticed when the answer comes
            self._reset = True
            return len(data)
        there = self._peer._incoming
        piece = data[: BUFFER - len(there)]
        if data and not piece:
            raise _error(errno.EWOULDBLOCK)
        there += piece
        return len(piece)

    def shutdown(self, how: int) -> None:
        """End our direction; the other one needs nothing."""
        if how != socket.SHUT_RD:
            self._peer._ended = True

    def close(self) -> None:
        """End, or reset, as the options say."""
        self._closed = True
        aborts = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER)) == _RESET_ON_CLOSE
        if aborts or self._incoming:
            self._peer._reset = True
        else:
            self._peer._ended = True

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Remembered, and of no effect but for ``SO_LINGER``."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int) -> int | bytes:
        """What was set."""
        return self._options.get((level, option), 0)

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        """It has no number."""
        return -1


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
