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
#: Seconds between unanswered probes, and how many may remain unanswered. If the first one is lost,
#: five more are sent before a NAT forgets the connection after a minute; and a peer that is there
#: counts as gone only if many are lost. Measured in docs/connectivity.rst.
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 5, 14
#: Maximum seconds between two retransmissions or zero-window probes, where Linux has the option
#: (since 6.15; Python has no name for it). The default maximum is two minutes.
RETRY_INTERVAL = 30
_TCP_RTO_MAX_MS = 44
_INTERNET = (socket.AF_INET, socket.AF_INET6)

#: Ports whose connections inherit all these options, with the socket that has them (a port that
#: stops and listens again has another one), and the number of the first connection that is known to
#: have inherited. Those that were queued before the port had the options have lower numbers.
_tuned: WeakKeyDictionary[Port, tuple[socket.socket, float]] = WeakKeyDictionary()

#: Values of SO_LINGER: whether to reset on close.
_LINGER = {reset: struct.pack("ii", int(reset), 0) for reset in (True, False)}


def socket_of(transport: object) -> socket.socket | None:
    """The socket under a transport and its wrappers; None when there is none (in memory)."""
    handle = _handle(bottom(transport))
    return handle if isinstance(handle, socket.socket) else None


def _handle(connection: object) -> Any:
    get_handle = getattr(connection, "getHandle", None)
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
    Set the name of an accepted connection in logs. Twisted has created two strings, named after its
    first protocol; ``text``, which exists anyway, takes no memory.
    """
    connection = bottom(transport)
    if isinstance(connection, Server):
        connection.logstr = connection.repstr = text


def push(transport: object) -> None:
    """
    Pass what was written to the kernel now, as far as it has room, and not in the reactor's next
    turn. For use before a reset, which discards what the transport still has.
    """
    connection = bottom(transport)
    if isinstance(connection, Connection) and connection.connected:
        flush(connection)


def flush(connection: Connection) -> bool:
    """
    Pass what was written to the kernel, as far as it has room.

    :return: whether that was everything. False if the connection is over, for example because it
        was to be closed after this data; the reactor notices in its next turn.
    """
    if connection.doWrite() is None:
        return not connection.dataBuffer
    connection.startWriting()  # then the reactor gets the same result
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
    Set the options of all TCP connections: small writes are sent immediately, and keepalive probes
    start so soon and are so frequent that a NAT keeps the mapping of a silent connection, and a
    vanished peer is detected within two minutes. A system without these options uses its own times.
    Keepalive rests while data is unacknowledged: :mod:`rdv._transport.liveness` is for that case.
    """
    connection = bottom(transport)
    sock = socket_of(connection)
    if sock is not None and not _has_inherited(connection, sock) and sock.family in _INTERNET:
        _set_options(sock)


def _has_inherited(connection: object, sock: socket.socket) -> bool:
    """
    Whether it has inherited all options from its port. One query of a connection is enough: all
    that the port accepts after it have them, too.
    """
    if not isinstance(connection, Server) or connection.server is None:
        return False
    port = connection.server
    tuned = _tuned.get(port)
    if tuned is None:
        return False
    listening, first = tuned
    if getattr(port, "socket", listening) is not listening:  # a closed port has none
        return False
    if connection.sessionno < first:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            return False
        _tuned[port] = listening, connection.sessionno
    return True


def tune_port(port: object) -> None:
    """
    Do the same once for all connections that a Twisted port will accept, if the system lets them
    inherit the options.
    """
    if isinstance(port, Port) and sys.platform == "linux" and port.socket.family in _INTERNET:
        _set_options(port.socket)
        _tuned[port] = port.socket, math.inf


def tune_port_of(connection: Connection) -> None:
    """
    Do that, unless it has been done, for the port that has accepted this connection, if it is still
    listening.
    """
    port: Any = getattr(connection, "server", None)
    sock = getattr(port, "socket", None)
    if sock is not None and _tuned.get(port, (None,))[0] is not sock:
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
    # Last, because ``_has_inherited`` infers from it that the others are set, too.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def limit_unsent(transport: object, size: int) -> None:
    """
    Limit the data that the kernel accepts beyond what is in flight, if it has an option for that.

    :param size: in bytes; 0 for the system's own limit.
    """
    sock = socket_of(transport)
    if sock is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def linger(transport: object, reset_on_close: bool) -> None:
    """
    Set whether closing the socket resets the connection.

    A stream that is not complete needs this: if the process is killed or the reactor stops, the
    peer must not mistake the data so far for the whole stream.
    """
    connection = bottom(transport)
    handle = _handle(connection)  # the sockets of rdv.testing know this option too
    if hasattr(handle, "setsockopt"):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER[reset_on_close])
        # Otherwise Twisted shuts the socket down before closing it: the peer then sees an end, and
        # no reset if it has ended already. After our own end there is nothing left to shut down.
        if isinstance(connection, Connection):
            connection._shouldShutdown = not (reset_on_close or has_shut_down(connection))


def has_shut_down(connection: Connection) -> bool:
    """
    Whether our direction of a connection has ended, so that the kernel has everything. Twisted has
    no public attribute for that; if the private one is ever renamed, the answer is no.
    """
    return getattr(connection, "_writeDisconnected", False)
