"""
A client's connection as a message to another process on this host: its descriptor, and the client's
offer. One message of a ``SOCK_SEQPACKET`` socket is one client.
"""

from __future__ import annotations

import array
import os
import re
import socket
from contextlib import suppress
from typing import NamedTuple

from rdv._signed_token import check_user
from rdv.errors import BadToken, ProtocolError
from rdv.wire import MAX_TOKEN, Role, check_token, refusal

__all__ = [
    "MAX_MESSAGE",
    "PassedClient",
    "decode",
    "encode",
    "inbox_pair",
    "receive",
    "refuse",
    "send",
]

#: Maximum size of a message in bytes. There are at most ten addresses with fifty characters each,
#: and a user's name has at most 256 bytes.
MAX_MESSAGE = MAX_TOKEN + 1024

_FIELDS = 5
#: Role, id, seconds waited, and fields of later versions.
_FIRST = re.compile(rb"([A-Z]+)(?:\t([0-9a-f]{1,8})(?:\t([0-9]{1,9}(?:\.[0-9]{1,3})?)(?:\t.*)?)?)?")
_RIGHTS = socket.CMSG_LEN(array.array("i").itemsize) if hasattr(socket, "CMSG_LEN") else 0
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class PassedClient(NamedTuple):
    """
    The data of a client.

    :ivar addresses: its self addresses, formatted.
    :ivar observed: its observed address, formatted; empty if unknown. With port 0 nobody can reach
        it, and its limits are those of this address.
    :ivar user: its user, if known.
    :ivar id: identifies it in the log; 0 if it has none yet.
    :ivar waited: seconds that it has waited for its peer; 0 if it has just connected.
    """

    role: Role
    token: bytes
    addresses: str
    observed: str
    user: str | None = None
    id: int = 0
    waited: float = 0.0


def encode(client: PassedClient) -> bytes:
    """
    The message for a client. Two versions of this program may have to understand it: fields can be
    added at the end of its first line, where a reader ignores unknown fields, and takes missing
    ones as 0.
    """
    # The token comes last, so that no character in it can shift another field.
    first = f"{client.role.value.decode()}\t{client.id:x}\t{client.waited:.3f}"
    head = f"{first}\n{client.addresses}\n{client.observed}\n{client.user or ''}\n"
    return head.encode() + client.token


def decode(message: bytes) -> PassedClient:
    """
    Parse a message.

    :raises ProtocolError: when it is not one of ours.
    """
    fields = message.split(b"\n", _FIELDS - 1)
    if len(fields) != _FIELDS or len(message) > MAX_MESSAGE:
        raise ProtocolError("not a message about a client")
    first, addresses, observed, user, token = fields
    found = _FIRST.fullmatch(first)
    if found is None:
        raise ProtocolError("not a message about a client")
    role, number, waited = found.groups(b"0")
    try:
        return PassedClient(
            Role(role),
            check_token(token),
            addresses.decode("ascii"),
            observed.decode("ascii"),
            check_user(user.decode()) if user else None,
            int(number, 16),
            float(waited),
        )
    except (BadToken, ValueError) as error:
        raise ProtocolError(f"not a message about a client: {error}") from None


def inbox_pair() -> tuple[socket.socket, socket.socket]:
    """
    The two ends of a new channel: the receiving end and the sending end. Neither blocks.

    :raises OSError: when the system does not support it.
    """
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (inbox, outbox):
        end.setblocking(False)
    return inbox, outbox


def send(outbox: socket.socket, message: bytes, sock: socket.socket) -> None:
    """
    Send one client. The connection stays open here, too.

    :raises BlockingIOError: when the inbox is full.
    :raises OSError: when there is no receiver, or too many descriptors are in messages on this
        host.
    """
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))
    outbox.sendmsg([message], [rights])


def receive(inbox: socket.socket) -> tuple[bytes, socket.socket | None]:
    """
    Receive the next client.

    :return: the message and the connection, which is None if it was lost because this process has
        no descriptor left. An empty message is the end: there is no sender any more.
    :raises BlockingIOError: when the inbox is empty.
    :raises ProtocolError: when the message is longer than any of ours, or the descriptor is not a
        socket.
    """
    # socket.recv_fds would be shorter, but does not pass flags on.
    message, ancillary, flags, _ = inbox.recvmsg(MAX_MESSAGE, _RIGHTS, _CLOSE_ON_EXEC)
    sock: socket.socket | None = None
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            for number in numbers:  # the buffer has room for one
                sock = _socket(number)
    if flags & socket.MSG_TRUNC:
        if sock is not None:
            sock.close()
        raise ProtocolError("a message that is too long")
    return message, sock


def _socket(number: int) -> socket.socket:
    try:
        return socket.socket(fileno=number)
    except OSError:
        os.close(number)
        raise ProtocolError("a descriptor that is no socket") from None


def refuse(sock: socket.socket, status: int, reason: str) -> None:
    """Answer a client that has only a socket, no leg, and close the socket."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        sock.send(refusal(status, reason))
        sock.shutdown(socket.SHUT_WR)
