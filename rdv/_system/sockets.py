"""
The socket below a transport: finding it, querying it, and setting its options.
"""

from __future__ import annotations

import math
import socket
import struct
import sys
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.tcp import Connection, Port, Server

__all__ = [
    "bottom",
    "flush",
    "has_shut_down",
    "limit_unsent",
    "linger",
    "name",
    "push",
    "socket_of",
    "tune",
    "tune_port",
    "tune_port_of",
    "unread",
]

#: Seconds of silence before the first keepalive probe: half of the shortest NAT timeouts in use.
KEEPALIVE_IDLE = 30
#: Seconds between those that are not answered, and how many may be: five are sent before a NAT that
#: forgets after a minute does so, and many have to be lost until somebody who is there counts as
#: gone. Measured in docs/connectivity.rst.
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 5, 14
#: Seconds at most between two attempts, to send again or to ask for room, if Linux has the option
#: (6.15; Python has no name for it). Its own limit is two minutes.
RETRY_INTERVAL = 30
_TCP_RTO_MAX_MS = 44
_INTERNET = (socket.AF_INET, socket.AF_INET6)

#: Ports whose connections have all that from the beginning, and the number of the first one that is
#: known to. Who was in the queue before the port had it has come before that one.
_tuned: WeakKeyDictionary[Port, float] = WeakKeyDictionary()

#: What SO_LINGER takes: to reset on close, or not.
_LINGER = {reset: struct.pack("ii", int(reset), 0) for reset in (True, False)}


def socket_of(transport: object) -> socket.socket | None:
    """The socket under a transport and its wrappers; None when there is none (in memory)."""
    handle = _handle(transport)
    return handle if isinstance(handle, socket.socket) else None


def _handle(transport: object) -> Any:
    get_handle = getattr(bottom(transport), "getHandle", None)
    try:
        return get_handle and get_handle()
    except AttributeError:  # a transport of Twisted that has lost its connection
        return None


def bottom(transport: object) -> object:
    """What is under a transport and all its wrappers."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


def name(transport: object, text: str) -> None:
    """
    Say how logs call a connection that came from a port. Twisted has made up two names, after the
    protocol that had it first; a text that is kept anyway costs nothing.
    """
    connection = bottom(transport)
    if isinstance(connection, Server):
        connection.logstr = connection.repstr = text


def push(transport: object) -> None:
    """
    Let the system have what was written, as far as there is room, and not only in the reactor's
    next turn: before a reset, which throws away what the transport still has.
    """
    connection = bottom(transport)
    if isinstance(connection, Connection) and connection.connected:
        flush(connection)


def flush(connection: Connection) -> bool:
    """
    Let the system have what was written, as far as there is room.

    :return: whether that is all. Not if the connection is over, as one is that was to close behind
        it: the reactor learns that in its next turn.
    """
    if connection.doWrite() is None:
        return not connection.dataBuffer
    connection.startWriting()  # what it has just said, it says to the reactor then
    return False


def unread(transport: object) -> bytes | None:
    """
    What the kernel has received on ``transport`` and the reactor has not yet seen.

    :return: None when there is nothing, ``b""`` for an end or a reset, else the first byte.
    """
    sock = socket_of(transport)
    if sock is None:
        return None
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def tune(transport: object) -> None:
    """
    Set what every TCP connection of ours wants: small writes leave at once, and keepalive is on,
    soon and often enough that a NAT keeps its mapping of a silent connection and a peer that has
    vanished from one is noticed within two minutes. Where the system has no such options it is on
    as the system has it. While something is not acknowledged keepalive rests: what is then done is
    in :mod:`rdv._transport.liveness`.
    """
    connection = bottom(transport)
    sock = socket_of(connection)
    if sock is not None and not _has_inherited(connection, sock) and sock.family in _INTERNET:
        _set_options(sock)


def _has_inherited(connection: object, sock: socket.socket) -> bool:
    """Whether it has everything from its port. Its number tells, once one of that port had it."""
    port: Any = getattr(connection, "server", None)
    if not (isinstance(connection, Server) and port in _tuned):
        return False
    if connection.sessionno < _tuned[port]:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            return False
        _tuned[port] = connection.sessionno
    return True


def tune_port(port: object) -> None:
    """
    Do the same for every connection that a port of Twisted will accept, at once, where the system
    lets them inherit it.
    """
    if isinstance(port, Port) and sys.platform == "linux" and port.socket.family in _INTERNET:
        _set_options(port.socket)
        _tuned[port] = math.inf


def tune_port_of(connection: Connection) -> None:
    """Do that, unless it has been done, for the port that has accepted this connection."""
    port: Any = getattr(connection, "server", None)
    if port not in _tuned:
        tune_port(port)


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if sys.platform == "linux":
        with suppress(OSError):  # an older one
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, RETRY_INTERVAL * 1000)
    # Last: it tells that the others are set, too.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def limit_unsent(transport: object, size: int) -> None:
    """
    Bound what the system takes beyond what is in flight, if it has such an option.

    :param size: in bytes; 0 for the system's own limit.
    """
    sock = socket_of(transport)
    if sock is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def linger(transport: object, reset_on_close: bool) -> None:
    """
    Say what closing the socket means while the stream is not complete.

    With ``reset_on_close`` even a killed process resets the connection, so that the peer cannot
    take what has come so far for everything. So does a reactor that stops.
    """
    connection = bottom(transport)
    handle = _handle(connection)  # the sockets of rdv.testing know this option too
    if hasattr(handle, "setsockopt"):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER[reset_on_close])
        # Twisted would shut the socket down before closing it: an end, then, and no reset if the
        # peer has ended already. Behind our own end, there is nothing left to shut down.
        if isinstance(connection, Connection):
            connection._shouldShutdown = not (reset_on_close or has_shut_down(connection))


def has_shut_down(connection: Connection) -> bool:
    """
    Whether our direction of a connection has ended, so that the kernel has everything. Twisted does
    not say so in public; should it be called otherwise one day, the answer is no.
    """
    return getattr(connection, "_writeDisconnected", False)
