"""
Whether a program still has the other end of a TCP connection within this host.

TCP itself tells nobody: a close looks like a half-close to the other side. But the kernel that has
both ends knows, and answers who asks it by ``sock_diag`` (Linux, sock_diag(7)). No privilege is
needed for one's own network namespace.
"""

from __future__ import annotations

import socket
import struct

__all__ = ["has_owner"]

# Of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
_NETLINK_SOCK_DIAG = 4
_NLM_F_REQUEST = 1
_SOCK_DIAG_BY_FAMILY = 20
_NO_COOKIE = b"\xff" * 8
#: struct nlmsghdr, and struct inet_diag_req_v2 up to its inet_diag_sockid.
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")
#: struct inet_diag_sockid: ports, addresses, interface, and a cookie.
_ID = struct.Struct("=2s2s16s16sI8s")
#: struct inet_diag_msg: of these, the state and the inode count.
_ANSWER = struct.Struct(f"=xBxx{_ID.size}x16xI")
_ALL_STATES = 0xFFFFFFFF
_LISTEN = 10


def has_owner(sock: socket.socket) -> bool | None:
    """
    :param sock: our end.
    :return: None when the kernel does not say, as the other end is on another host, or in another
        network namespace, or this is no TCP, or no Linux.
    """
    family = getattr(socket, "AF_NETLINK", None)
    if family is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        request = _request(sock)
        with socket.socket(family, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.setblocking(False)  # it has answered by the time that it has been asked
            kernel.sendto(request, (0, 0))
            answer = kernel.recv(4096)
    except OSError:
        return None
    if len(answer) < _HEADER.size + _ANSWER.size:
        return None
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:  # an error: there is none
        return None
    state, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    return None if state == _LISTEN else inode != 0


def _request(sock: socket.socket) -> bytes:
    """Ask for the socket whose peer is ours."""
    ours, theirs = sock.getsockname(), sock.getpeername()
    ports = [struct.pack("!H", end[1]) for end in (theirs, ours)]
    hosts = [
        socket.inet_pton(sock.family, end[0].partition("%")[0]).ljust(16, b"\0")
        for end in (theirs, ours)
    ]
    body = _REQUEST.pack(sock.family, socket.IPPROTO_TCP, 0, _ALL_STATES)
    body += _ID.pack(*ports, *hosts, 0, _NO_COOKIE)
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + body
