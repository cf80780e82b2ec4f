"""
Minimal clients of a rendezvous: plain sockets and epoll, in this process.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from itertools import count, cycle

from rdv.wire import confirm_line, hello_line

__all__ = ["PATIENCE", "Clients"]

#: A client address has 28,000 ports, and each is unusable for a minute after its connection.
_SOURCES = [f"127.0.1.{number}" for number in range(1, 255)]
#: Binding to an address must not allocate a port yet. The name of the option is new in Python 3.12.
_IP_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
#: Seconds without any event after which the server counts as stuck.
PATIENCE = 10.0
#: After each group of this many waiting clients, a pair checks that the server has kept up.
_BATCH = 32


class _Pair:
    """One pair. Its methods are called when its sockets are readable."""

    __slots__ = (
        "_acceptor",
        "_begun",
        "_clients",
        "_confirm",
        "_dialer",
        "_direct",
        "_heard",
        "_hello",
        "_told",
    )

    def __init__(self, clients: Clients, direct: bool) -> None:
        token = clients.token()
        self._clients = clients
        self._direct = direct
        self._hello = hello_line(token)
        self._confirm = confirm_line(token)
        self._heard = self._told = b""
        self._acceptor, self._dialer = clients.open(), clients.open()
        clients.watch(self._acceptor, self.acceptor_readable)
        clients.watch(self._dialer, self.dialer_readable)
        self._acceptor.send(clients.request(b"ACCEPT", token))
        self._dialer.send(clients.request(b"DIAL", token))
        self._begun = time.perf_counter()

    def acceptor_readable(self) -> None:
        data = self._acceptor.recv(4096)
        self._told += data  # some servers send their answer in pieces
        if not data:
            self._clients.forget(self._acceptor)
        elif self._told == self._confirm:
            self._dialer.shutdown(socket.SHUT_WR)
        elif not self._told.startswith(b"HTTP/1.1 101 "):
            raise RuntimeError(f"the acceptor got {self._told!r}")
        elif self._told.endswith(b"\r\n\r\n"):
            self._told = b""
            self._acceptor.send(self._hello)

    def dialer_readable(self) -> None:
        data = self._dialer.recv(4096)
        self._heard += data  # the answer and HELLO may arrive together
        if self._heard.endswith(self._hello):
            self._clients.latencies.append(time.perf_counter() - self._begun)
            self._heard = b"done"
            if self._direct:
                self._dialer.shutdown(socket.SHUT_WR)
            else:
                self._dialer.send(self._confirm)
        elif not data and self._heard == b"done":
            self._clients.forget(self._dialer)
            self._clients.next()
        elif not self._heard.startswith(b"HTTP/1.1 101 "):
            raise RuntimeError(f"the dialer got {self._heard!r}")


class Clients:
    """
    Clients of one server.

    :ivar latencies: for each pair, the seconds until HELLO.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._sources = cycle(_SOURCES)
        self._tokens = count()
        self._requests = count()
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._left = 0
        self._direct = False
        self.latencies: list[float] = []

    def token(self) -> bytes:
        """A token that was not used before."""
        return b"%032x" % next(self._tokens)

    def open(self) -> socket.socket:
        """Open a connection to the server."""
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((next(self._sources), 0))
        sock.connect(self._server)
        return sock

    def request(self, method: bytes, token: bytes) -> bytes:
        """A client's request, with three addresses that no other client has."""
        high, low = divmod(next(self._requests), 256)
        return (
            b"%b /rdv HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: upgrade\r\n"
            b"Upgrade: rdv/1\r\nRdv-Token: %b\r\n"
            b"Rdv-Self-Addrs: 192.168.%d.%d:39841, 10.0.%d.%d:39841, [2001:db8::%x:%x]:39841\r\n"
            b"\r\n"
        ) % (method, self._server[1], token, high % 256, low, high % 256, low, high, low)

    def watch(self, sock: socket.socket, readable: Callable[[], None]) -> None:
        """Call *readable* whenever there is something to read."""
        self._handlers[sock.fileno()] = readable
        self._poll.register(sock, select.EPOLLIN)

    def forget(self, sock: socket.socket) -> None:
        """Close a connection that was watched."""
        del self._handlers[sock.fileno()]
        sock.close()

    def next(self) -> None:
        """Start another pair, if one is left."""
        if self._left:
            self._left -= 1
            _Pair(self, self._direct)

    def meet(self, pairs: int, at_once: int = 1, direct: bool = False) -> None:
        """
        Let this many pairs meet. Whenever one ends, the next one starts.

        :param direct: whether they leave after HELLO.
        :raises RuntimeError: when the server does not do what it should.
        """
        self._left = pairs
        self._direct = direct
        for _ in range(at_once):
            self.next()
        while self._handlers:
            events = self._poll.poll(PATIENCE)
            if not events:
                raise RuntimeError("the server has stopped answering")
            for fd, _ in events:
                self._handlers[fd]()

    def wait(self, number: int) -> list[tuple[bytes, socket.socket]]:
        """Open this many acceptors that wait for their peers; return each with its token."""
        waiting = []
        for index in range(number):
            token, sock = self.token(), self.open()
            sock.send(self.request(b"ACCEPT", token))
            waiting.append((token, sock))
            if index % _BATCH == 0:
                self.meet(1)
        self.meet(1)  # the server works in order, so it has seen all of them by now
        return waiting
