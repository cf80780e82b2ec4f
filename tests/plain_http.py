"""
How the plain server reads requests and writes answers: see :mod:`tests.plain_server`.

An answer is written as the original writes it, in many small pieces. There are two kinds of error
answers: one that any HTTP server gives to a bad request, and one on a connection whose upgrade was
accepted already, which has no length and ends with the connection.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from tests.plain import (
    MAX_ADDRESSES,
    PROTOCOL,
    Address,
    HeadError,
    confirm,
    format_address,
    format_addresses,
    hello,
    is_upgrade,
    parse_addresses,
    read_head,
)

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", PROTOCOL)]
TEXT = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]


class Refusal(Exception):
    """A status and a reason for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """A valid request, and its connection."""

    sock: socket.socket
    observed: Address
    role: str
    token: bytes
    self_addresses: list[Address]

    @property
    def line(self) -> bytes:
        """What this client has to say first on the relay."""
        return confirm(self.token) if self.role == "DIAL" else hello(self.token)


def write_head(sock: socket.socket, status: int, headers: Iterable[tuple[str, str]]) -> None:
    """
    Write a response head in small pieces, each a send() of its own.

    The send buffer of an idle connection takes all of them, so none blocks. With TCP_NODELAY each
    is a segment until the congestion window is full: ten, and the rest in one more.
    """
    sock.send(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode("latin-1"))
    for name, value in headers:
        for piece in (name, ": ", value, "\r\n"):
            sock.send(piece.encode("latin-1"))
    sock.send(b"\r\n")


def write_101(request: Request, partner: Request) -> None:
    """Tell a client where its partner is."""
    addresses = [*partner.self_addresses, partner.observed]
    headers = [
        ("Connection", "Upgrade"),
        ("Rdv-Observed-Addr", format_address(request.observed)),
        ("Rdv-Peer-Addrs", format_addresses(addresses)),
        ("Upgrade", PROTOCOL),
    ]
    write_head(request.sock, 101, headers)


def refuse_upgraded(sock: socket.socket, refusal: Refusal) -> None:
    """Answer a client whose upgrade was accepted; the caller closes the connection behind it."""
    with contextlib.suppress(OSError):
        write_head(sock, refusal.status, [("Connection", "close"), *UPGRADE, *TEXT])
        sock.send(refusal.reason.encode("latin-1"))


def refuse_plainly(sock: socket.socket, refusal: Refusal) -> None:
    """Answer a bad request; the connection may be used again."""
    body = refusal.reason.encode("latin-1") + b"\n"
    headers = [*TEXT, ("Content-Length", str(len(body)))]
    if refusal.status == HTTPStatus.UPGRADE_REQUIRED:
        headers.append(("Upgrade", PROTOCOL))
    write_head(sock, refusal.status, headers)
    sock.send(body)


def parse_request(sock: socket.socket, first: str, headers: dict[str, str]) -> Request:
    """
    Judge a request, in the order of the original.

    :raises Refusal: 426 or 400.
    """
    method, _, rest = first.partition(" ")
    if not is_upgrade(headers):
        raise Refusal(426, "requires connection upgrade to rdv/1")
    if not rest.endswith(" HTTP/1.1"):
        raise Refusal(426, "bad http version for upgrade")
    if method not in ("DIAL", "ACCEPT"):
        raise Refusal(400, f"bad http method {method}")
    if not (token := headers.get("rdv-token", "")):
        raise Refusal(400, "missing token")
    try:
        addresses = parse_addresses(headers.get("rdv-self-addrs", ""))
    except ValueError as error:
        raise Refusal(400, "invalid self addrs") from error
    if len(addresses) > MAX_ADDRESSES - 1:
        raise Refusal(400, "too many self addrs")
    host, port = sock.getpeername()[:2]
    return Request(sock, (host, port), method, token.encode("latin-1"), addresses)


async def read_request(sock: socket.socket) -> Request:
    """
    Answer bad requests until a good one comes.

    :raises EOFError: when the connection is to be closed instead.
    """
    while True:
        try:
            first, headers = await read_head(sock)
        except HeadError as error:
            refuse_plainly(sock, Refusal(400, str(error)))
            raise EOFError from error
        try:
            return parse_request(sock, first, headers)
        except Refusal as refusal:
            refuse_plainly(sock, refusal)
            if not first.endswith(" HTTP/1.1"):
                raise EOFError from refusal
