"""
What the plain server and the plain peer have in common.

The two programs speak rdv/1 as the original implementation does, with its limits and its
weaknesses, to test interoperability against. They share no line with the product and no library but
the standard one, so that the same misreading of the protocol cannot be on both sides. Everything is
read straight from the socket, never more than is needed: no byte can be lost in a buffer when the
stream changes hands, at the price of one system call per byte of a header.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

PROTOCOL = "rdv/1"
MAX_ADDRESSES = 10
MAX_HEAD = 64 * 1024

Address = tuple[str, int]


class HeadError(Exception):
    """A request or a response that cannot be read."""


def hello(token: bytes) -> bytes:
    """The line that the acceptor writes on every candidate."""
    return b"rdv/1 HELLO " + token + b"\r\n"


def confirm(token: bytes) -> bytes:
    """The line that the dialer writes on the candidate that it has chosen."""
    return b"rdv/1 CONFIRM " + token + b"\r\n"


async def read_exactly(sock: socket.socket, size: int) -> bytes:
    """
    Read *size* bytes and not one more.

    :raises EOFError: when the stream ends before.
    """
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


async def read_head(sock: socket.socket) -> tuple[str, dict[str, str]]:
    """
    Read one HTTP head: the first line, and the headers by lower-case name.

    Of a header that comes twice the first counts. Text is latin-1, so that any byte survives.

    :raises HeadError: when it is too long or holds a line without a colon.
    """
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        if len(head) == MAX_HEAD:
            raise HeadError("header too long")
        head += await read_exactly(sock, 1)
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HeadError(f"no colon in header line {line!r}")
        headers.setdefault(name.lower(), value.strip(" \t"))
    return first, headers


def is_upgrade(headers: dict[str, str]) -> bool:
    """Whether the headers ask for, or grant, rdv/1: one token each, as the original wants it."""
    wanted = headers.get("connection", "").lower(), headers.get("upgrade", "").lower()
    return wanted == ("upgrade", PROTOCOL)


def parse_address(text: str) -> Address:
    """
    Read ``1.2.3.4:5`` or ``[2001:db8::7]:5``.

    :raises ValueError: when it is anything else.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise ValueError(f"bad port in {text!r}")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    return str(ipaddress.IPv4Address(host)), int(port)


def parse_addresses(text: str) -> list[Address]:
    """Read a comma separated list, which may be empty."""
    return [parse_address(part.strip()) for part in text.split(",")] if text.strip() else []


def format_address(address: Address) -> str:
    """The opposite of :func:`parse_address`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def format_addresses(addresses: list[Address]) -> str:
    """The opposite of :func:`parse_addresses`."""
    return ", ".join(map(format_address, addresses))
