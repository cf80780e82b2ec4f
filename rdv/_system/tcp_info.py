"""
What the kernel knows about a TCP connection. Only Linux reports it; other systems have no
``TCP_INFO``, or another structure.

No query here changes what a reader of the connection will see. ``SO_ERROR`` would: it removes a
pending reset, so that a read finds an end. It also reports ICMP errors that TCP survives (RFC 1122,
4.2.3.9).

``sock_diag`` (sock_diag(7)) reports on the other end, if it is within this host; it needs no
privilege for the process's own network namespace.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import sys
import termios
from typing import NamedTuple

from rdv._system.sockets import socket_of

__all__ = [
    "Reading",
    "arrival",
    "bytes_acknowledged",
    "has_owner",
    "is_closed",
    "is_told",
    "reading",
    "round_trip",
    "undelivered",
]

# Offsets in struct tcp_info of linux/tcp.h, to which fields are only ever appended.
_STATE = 0
_RTT = 68
_BYTES_ACKED = 120
_MIN_RTT = 148
_LENGTH = _MIN_RTT + 4
#: The fields of a :class:`Reading`, in its order; and the minimum length, that of Linux 4.2. The
#: last field exists since 5.4.
_READING = struct.Struct("=2xBB12xI4xI72xI16xQ12xI84xI")
_READING_LEAST = 144

#: State, round trip, bytes received, and shortest round trip (since Linux 4.9).
_ARRIVAL = struct.Struct("=B67xI56xQ12xI")

#: TCP_ESTABLISHED and TCP_CLOSE of include/net/tcp_states.h.
_ESTABLISHED, _CLOSE = 1, 7
#: The kernel's values when it has not measured yet.
_NO_SAMPLE = (0, 0xFFFFFFFF)


def round_trip(transport: object) -> float | None:
    """
    The shortest round trip, in seconds, that the kernel has measured on this connection. Behind a
    proxy, that is the one to the proxy.

    :return: None if the system does not report it.
    """
    info = _tcp_info(socket_of(transport))
    for offset in (_MIN_RTT, _RTT):
        microseconds = _number(info, offset, 4)
        if microseconds is not None and microseconds not in _NO_SAMPLE:
            return microseconds / 1e6
    return None


def arrival(transport: object) -> tuple[int, float] | None:
    """
    The number of bytes received on a connection that neither side has ended, and the
    :func:`round_trip`, with one system call.

    :return: None if a side has ended, or if the system does not report both.
    """
    info = _tcp_info(socket_of(transport))
    if len(info) != _ARRIVAL.size:
        return None
    state, trip, received, least = _ARRIVAL.unpack(info)
    microseconds = trip if least in _NO_SAMPLE else least
    if state != _ESTABLISHED or microseconds in _NO_SAMPLE:
        return None
    return received, microseconds / 1e6


def bytes_acknowledged(transport: object) -> int | None:
    """
    How many bytes the other side's system has acknowledged.

    :return: None if the system does not report it.
    """
    return _number(_tcp_info(socket_of(transport)), _BYTES_ACKED, 8)


def is_closed(sock: socket.socket) -> bool | None:
    """
    Whether the system has given the connection up, or there was none.

    :return: None if the system does not report it.
    """
    state = _number(_tcp_info(sock), _STATE, 1)
    return None if state is None else state == _CLOSE


def undelivered(transport: object) -> int | None:
    """
    How many bytes the kernel holds that the other side's system has not yet acknowledged.

    :return: None when the connection has failed; 0 if the system does not report it.
    """
    sock = socket_of(transport)
    if sock is None:
        return 0
    # The state is read before the bytes: a clean close between the two leaves none, and must not
    # look like a failure. A reset, which may leave some or none, also shows as an error.
    closed = is_closed(sock)
    try:
        left = int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        left = 0
    return None if _has_failed(sock) or (closed and left) else left


def _has_failed(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


class Reading(NamedTuple):
    """
    A snapshot that is compared with a later one, to tell whether the other side is still there.

    :ivar timeouts: in a row, each followed by a retransmission.
    :ivar probes: keepalive and zero-window probes, in a row, that were not answered.
    :ivar segment: bytes of a full segment.
    :ivar in_flight: segments that are not acknowledged.
    :ivar repeated: segments that were retransmitted.
    :ivar acknowledged: bytes, as :func:`bytes_acknowledged`.
    :ivar heard: segments that have arrived, even empty ones.
    :ivar window: bytes for which the other side has room; 0 where the system does not report it.
    """

    timeouts: int
    probes: int
    segment: int
    in_flight: int
    repeated: int
    acknowledged: int
    heard: int
    window: int


def is_told(transport: object) -> bool:
    """Whether :func:`reading` may return anything. This is cheaper to call."""
    return sys.platform == "linux" and socket_of(transport) is not None


def reading(transport: object) -> Reading | None:
    """
    :return: None if the system does not report it.
    """
    info = _tcp_info(socket_of(transport), _READING.size)
    if len(info) < _READING_LEAST:
        return None
    return Reading._make(_READING.unpack_from(info.ljust(_READING.size, b"\0")))


def _tcp_info(sock: socket.socket | None, length: int = _LENGTH) -> bytes:
    if sock is None or sys.platform != "linux":
        return b""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, length)
    except OSError:  # not TCP, or already closed
        return b""


def _number(info: bytes, offset: int, size: int) -> int | None:
    """A field, if this kernel has it."""
    field = info[offset : offset + size]
    return int.from_bytes(field, sys.byteorder) if len(field) == size else None


# Of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
_NETLINK_SOCK_DIAG = 4
_NLM_F_REQUEST = 1
_SOCK_DIAG_BY_FAMILY = 20
_NO_COOKIE = b"\xff" * 8
#: struct nlmsghdr, and struct inet_diag_req_v2 up to its inet_diag_sockid.
_MESSAGE = struct.Struct("=IHHII")
_OWNER_REQUEST = struct.Struct("=BBBxI")
#: struct inet_diag_sockid: ports, addresses, interface, and a cookie.
_ID = struct.Struct("=2s2s16s16sI8s")
#: struct inet_diag_msg, of which only the state and the inode are used.
_OWNER_ANSWER = struct.Struct(f"=xBxx{_ID.size}x16xI")
_ALL_STATES = 0xFFFFFFFF
_LISTEN = 10


def has_owner(sock: socket.socket) -> bool | None:
    """
    Whether a program still has the other end of a connection open, if that is on this host. TCP
    itself cannot tell, because a close looks like a half-close to the other side. But here, the
    kernel has both ends.

    :param sock: our end.
    :return: None if this is not known: the other end is on another host or in another network
        namespace, or this is not TCP, or not Linux.
    """
    family = getattr(socket, "AF_NETLINK", None)
    if family is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        request = _owner_request(sock)
        with socket.socket(family, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.setblocking(False)  # the answer is there when ``sendto`` returns
            kernel.sendto(request, (0, 0))
            answer = kernel.recv(4096)
    except OSError:
        return None
    if len(answer) < _MESSAGE.size + _OWNER_ANSWER.size:
        return None
    if _MESSAGE.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:  # an error: no such socket
        return None
    state, inode = _OWNER_ANSWER.unpack_from(answer, _MESSAGE.size)
    return None if state == _LISTEN else inode != 0


def _owner_request(sock: socket.socket) -> bytes:
    """A query for the socket whose peer is ``sock``."""
    ours, theirs = sock.getsockname(), sock.getpeername()
    ports = [struct.pack("!H", end[1]) for end in (theirs, ours)]
    hosts = [
        socket.inet_pton(sock.family, end[0].partition("%")[0]).ljust(16, b"\0")
        for end in (theirs, ours)
    ]
    body = _OWNER_REQUEST.pack(sock.family, socket.IPPROTO_TCP, 0, _ALL_STATES)
    body += _ID.pack(*ports, *hosts, 0, _NO_COOKIE)
    size = _MESSAGE.size + len(body)
    return _MESSAGE.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + body
