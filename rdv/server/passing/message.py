"""
A client's connection as a message to another process on this host: its descriptor, and what the
client has said of itself. One message of a ``SOCK_SEQPACKET`` socket is one client.
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

#: Bytes of a message at most. Addresses are ten at the most, of fifty characters each, and a user's
#: name has 256 bytes.
MAX_MESSAGE = MAX_TOKEN + 1024

_FIELDS = 5
#: Role, id, seconds waited, and what a later version may say.
_FIRST = re.compile(rb"([A-Z]+)(?:\t([0-9a-f]{1,8})(?:\t([0-9]{1,9}(?:\.[0-9]{1,3})?)(?:\t.*)?)?)?")
_RIGHTS = socket.CMSG_LEN(array.array("i").itemsize) if hasattr(socket, "CMSG_LEN") else 0
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class PassedClient(NamedTuple):
    """
    What a client has said.

    :ivar addresses: its own addresses, formatted.
    :ivar observed: its address as it was seen, formatted; empty when unknown.
    :ivar user: who it is, if that is known.
    :ivar id: by which the log knows it; 0 for one that has none yet.
    :ivar waited: seconds that it has waited for its peer; 0 for one that has just come.
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
    The message about a client. Processes of two versions of this program may have to understand it:
    more can be said at the end of its first line, where a reader leaves alone what it does not
    know, and takes 0 for what is not there.
    """
    # The token comes last: whatever is in it, no field behind it is moved.
    first = f"{client.role.value.decode()}\t{client.id:x}\t{client.waited:.3f}"
    head = f"{first}\n{client.addresses}\n{client.observed}\n{client.user or ''}\n"
    return head.encode() + client.token


def decode(message: bytes) -> PassedClient:
    """
    Read a message.

    :raises ProtocolError: when it is none of ours.
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
    Two ends of a new channel: one to receive from, one to send to. Neither blocks.

    :raises OSError: where the system has nothing like it.
    """
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (inbox, outbox):
        end.setblocking(False)
    return inbox, outbox


def send(outbox: socket.socket, message: bytes, sock: socket.socket) -> None:
    """
    Send one client. The connection stays open here, too.

    :raises BlockingIOError: when the inbox is full.
    :raises OSError: when nobody can receive, or too many descriptors are under way on this host.
    """
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))
    outbox.sendmsg([message], [rights])


def receive(inbox: socket.socket) -> tuple[bytes, socket.socket | None]:
    """
    Take the next client out.

    :return: the message and the connection: None when it was lost, since this process can have no
        more descriptors. An empty message is the end: nobody is left who could send.
    :raises BlockingIOError: when there is none.
    :raises ProtocolError: when it is longer than any of ours, or the descriptor is no socket.
    """
    # socket.recv_fds would be shorter, but does not pass flags on.
    message, ancillary, flags, _ = inbox.recvmsg(MAX_MESSAGE, _RIGHTS, _CLOSE_ON_EXEC)
    sock: socket.socket | None = None
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            for number in numbers:  # there is room for one
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
    """Answer a client of which there is nothing but the socket, and close it."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        sock.send(refusal(status, reason))
        sock.shutdown(socket.SHUT_WR)
