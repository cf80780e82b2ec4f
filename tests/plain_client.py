"""
One attempt of the plain peer to connect, with the behaviour of the original: see
:mod:`tests.plain_peer`.

It takes any answer of the server except 101 as final, and dials each address of its peer once and
never again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.plain import (
    MAX_ADDRESSES,
    Address,
    confirm,
    format_addresses,
    hello,
    is_upgrade,
    parse_address,
    parse_addresses,
    read_exactly,
    read_head,
)


class RefusedError(Exception):
    """The server's answer is not a good 101."""


@dataclass(frozen=True)
class Candidate:
    """A connection on which the peer has sent its line."""

    sock: socket.socket
    is_relay: bool


@dataclass(frozen=True)
class PlainPeer:
    """
    One attempt to connect.

    :param spaces: "any", "loopback" or "none": to which hosts direct connections are allowed.
    :param self_addresses: reported as our own; port 0 stands for the shared port.
    :param port: the shared port, 0 for any free one.
    :param relay_penalty: seconds from the relay's HELLO until the relay is taken.
    :param last_words: what a dialer writes together with its CONFIRM.
    """

    is_dialer: bool
    url: str
    token: bytes
    spaces: str = "any"
    self_addresses: tuple[Address, ...] = ()
    port: int = 0
    relay_penalty: float = 1.0
    last_words: bytes = b""

    async def connect(self) -> Candidate:
        """
        Find the peer. The connection is the caller's, in blocking mode.

        :raises RefusedError: the server has no peer for us.
        :raises OSError: the server cannot be reached.
        :raises EOFError: the server closed instead of answering.
        """
        with ExitStack() as sockets:
            listener = sockets.enter_context(self.open_socket(self.port))
            listener.listen()
            port = listener.getsockname()[1]
            relay = sockets.enter_context(self.open_socket(port))
            peer_addresses = await self.request(relay, port)

            found: asyncio.Queue[Candidate] = asyncio.Queue()
            work = [
                self.shake(Candidate(relay, True), found),
                self.accept(listener, sockets, found),
            ]
            for address in filter(self.may_dial, peer_addresses):
                sock = sockets.enter_context(self.open_socket(port))
                work.append(self.dial(sock, address, found))
            tasks = [asyncio.create_task(each) for each in work]
            try:
                chosen = await (self.choose(found) if self.is_dialer else found.get())
                if self.is_dialer:
                    line = confirm(self.token) + self.last_words
                    await asyncio.get_running_loop().sock_sendall(chosen.sock, line)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            # All others are closed here; ours stays open as a copy of its descriptor.
            kept = chosen.sock.dup()
        kept.setblocking(True)
        return Candidate(kept, chosen.is_relay)

    def open_socket(self, port: int) -> socket.socket:
        """One more socket on the shared port."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(("0.0.0.0", port))
        return sock

    def may_meet(self, host: str) -> bool:
        """Whether a direct connection with *host* is allowed."""
        if self.spaces == "loopback":
            return ipaddress.ip_address(host).is_loopback
        return self.spaces == "any"

    def may_dial(self, address: Address) -> bool:
        """Whether to dial an address of the peer: our shared port is an IPv4 one."""
        host, port = address
        return self.may_meet(host) and port >= 1024 and ":" not in host

    def own_addresses(self, port: int) -> list[Address]:
        """What we report to the peer."""
        if self.spaces == "none":
            return []
        loopback = [("127.0.0.1", port)] if self.spaces == "loopback" else []
        return loopback + [(host, own or port) for host, own in self.self_addresses]

    async def request(self, sock: socket.socket, port: int) -> list[Address]:
        """Ask the server, in one write, and return where the peer is."""
        loop = asyncio.get_running_loop()
        url = urlsplit(self.url)
        if url.scheme != "http" or url.hostname is None:
            raise RefusedError(f"cannot use the address {self.url}")
        found = await loop.getaddrinfo(
            url.hostname, url.port or 80, family=socket.AF_INET, type=socket.SOCK_STREAM
        )
        await loop.sock_connect(sock, found[0][4])
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        head = (
            f"{'DIAL' if self.is_dialer else 'ACCEPT'} {target} HTTP/1.1\r\n"
            f"Host: {url.netloc.rpartition('@')[2]}\r\n"
            "User-Agent: Go-http-client/1.1\r\n"
            "Connection: upgrade\r\n"
            f"Rdv-Self-Addrs: {format_addresses(self.own_addresses(port))}\r\n"
            f"Rdv-Token: {self.token.decode('latin-1')}\r\n"
            "Upgrade: rdv/1\r\n"
            "\r\n"
        )
        await loop.sock_sendall(sock, head.encode("latin-1"))
        status, headers = await read_head(sock)
        if not status.startswith("HTTP/1.1 101 "):
            raise RefusedError(f"{status}: {await read_reason(sock, headers)}")
        try:
            peer_addresses = parse_addresses(headers.get("rdv-peer-addrs", ""))
            if observed := headers.get("rdv-observed-addr"):
                parse_address(observed)
            else:
                sys.stderr.write("NOTICE: missing observed address\n")
        except ValueError as error:
            raise RefusedError(f"{status}: {error}") from error
        if not is_upgrade(headers) or len(peer_addresses) > MAX_ADDRESSES:
            raise RefusedError(f"{status}: bad upgrade headers or too many addresses")
        return peer_addresses

    async def accept(
        self, listener: socket.socket, sockets: ExitStack, found: asyncio.Queue[Candidate]
    ) -> None:
        """Shake hands with whoever comes to the shared port."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as hands:
            while True:
                sock, address = await loop.sock_accept(listener)
                sockets.enter_context(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.may_meet(address[0]):
                    hands.create_task(self.shake(Candidate(sock, False), found))
                else:
                    sock.close()

    async def dial(
        self, sock: socket.socket, address: Address, found: asyncio.Queue[Candidate]
    ) -> None:
        """Dial once, and shake hands."""
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError:
            sock.close()
        else:
            await self.shake(Candidate(sock, False), found)

    async def shake(self, candidate: Candidate, found: asyncio.Queue[Candidate]) -> None:
        """The handshake of a candidate, up to the dialer's choice."""
        line = hello(self.token) if self.is_dialer else confirm(self.token)
        try:
            if not self.is_dialer:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(candidate.sock, hello(self.token))
            if await read_exactly(candidate.sock, len(line)) == line:
                found.put_nowait(candidate)
                return
        except (OSError, EOFError):
            pass
        candidate.sock.close()

    async def choose(self, found: asyncio.Queue[Candidate]) -> Candidate:
        """The first direct one, or the relay when none has come in time."""
        first = await found.get()
        if not first.is_relay:
            return first
        try:
            return await asyncio.wait_for(found.get(), self.relay_penalty)
        except TimeoutError:
            return first


async def read_reason(sock: socket.socket, headers: dict[str, str]) -> str:
    """The first kilobyte of an error's body."""
    length = headers.get("content-length", "")
    size = min(int(length), 1024) if length.isdigit() else 1024
    body = b""
    while len(body) < size:
        more = await asyncio.get_running_loop().sock_recv(sock, size - len(body))
        if not more:
            break
        body += more
    return body.decode("latin-1").strip()
