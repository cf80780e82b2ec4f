"""
What does a rendezvous cost the server?

A real ``rdv serve`` process on 127.0.0.1, and in this process clients of plain sockets and epoll
that do as little as they can. A pair is two connections, ACCEPT and DIAL, and the acceptor's HELLO
through the relay. Then, when it is ``direct``, both close, as clients do that have found a direct
path; when it is ``relayed``, the dialer's CONFIRM goes through the relay, and the end of each
direction, one after the other.

``pairs/s`` is of one server process. ``server CPU`` is its user and system time for the whole life
of a pair. ``HELLO`` is the time from both requests sent until the dialer has the acceptor's HELLO
line: the match, and one trip through the relay. ``server busy`` and ``clients busy`` tell which of
the two had no time left: where it is the clients, the throughput is theirs.

Then, in a fresh server, clients that wait for a partner: by how much each of them makes the
server's resident memory grow.

For comparison the same with ``benchmarks/bare.py``: what is left when a server does nothing but
read the request with ``twisted.web``, join two connections and copy.

With ``--workers`` it compares numbers of worker processes instead: see ``benchmarks/workers.py``.

Run it from the checkout, on a quiet machine with two cores or more::

    python -m benchmarks.rendezvous
    python -m benchmarks.rendezvous --pairs 500 --waiting 1000 --runs 1
    python -m benchmarks.rendezvous --workers 1 2

It ends by itself, after half a minute or so.
"""

from __future__ import annotations

import argparse
import select
import socket
import sys
import time
from collections.abc import Callable
from itertools import count, cycle
from statistics import median

from benchmarks.common import (
    COMMAND,
    allow_files,
    listening,
    machine,
    of_medians,
    percentile,
    table,
)
from benchmarks.workers import compare
from rdv.wire import confirm_line, hello_line

#: A client address has 28,000 ports, and each is out of use for a minute after its connection.
_SOURCES = [f"127.0.1.{number}" for number in range(1, 255)]
#: Binding to an address must not take a port yet. Python has a name for it since 3.12.
_IP_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
#: Seconds without any event after which the server counts as stuck.
_PATIENCE = 10.0
#: What is measured, and what it is compared with.
_SERVERS = {
    "rdv": (*COMMAND, "-l", "127.0.0.1:0", "serve", "--lobby-timeout", "600"),
    "bare": (sys.executable, "-m", "benchmarks.bare"),
}
#: So many clients come to wait between two pairs that show that the server has kept up.
_BATCH = 32


class _Pair:
    """One pair. Its two sockets tell it when they are readable."""

    __slots__ = (
        "_acceptor",
        "_begun",
        "_clients",
        "_confirm",
        "_dialer",
        "_direct",
        "_heard",
        "_hello",
    )

    def __init__(self, clients: Clients, direct: bool) -> None:
        token = clients.token()
        self._clients = clients
        self._direct = direct
        self._hello = hello_line(token)
        self._confirm = confirm_line(token)
        self._heard = b""
        self._acceptor, self._dialer = clients.open(), clients.open()
        clients.watch(self._acceptor, self.acceptor_readable)
        clients.watch(self._dialer, self.dialer_readable)
        self._acceptor.send(clients.request(b"ACCEPT", token))
        self._dialer.send(clients.request(b"DIAL", token))
        self._begun = time.perf_counter()

    def acceptor_readable(self) -> None:
        data = self._acceptor.recv(4096)
        if not data:
            self._clients.forget(self._acceptor)
        elif data.startswith(b"HTTP/1.1 101 ") and data.endswith(b"\r\n\r\n"):
            self._acceptor.send(self._hello)
        elif data == self._confirm:
            self._dialer.shutdown(socket.SHUT_WR)
        else:
            raise RuntimeError(f"the acceptor got {data!r}")

    def dialer_readable(self) -> None:
        data = self._dialer.recv(4096)
        self._heard += data  # the answer and HELLO may come as one
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

    :ivar latencies: for each pair the seconds to HELLO.
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
        """One that was not used before."""
        return b"%032x" % next(self._tokens)

    def open(self) -> socket.socket:
        """A connection to the server."""
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((next(self._sources), 0))
        sock.connect(self._server)
        return sock

    def request(self, method: bytes, token: bytes) -> bytes:
        """What a client sends, with three addresses that no other client has."""
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
        """Begin another pair, if there is one left."""
        if self._left:
            self._left -= 1
            _Pair(self, self._direct)

    def meet(self, pairs: int, at_once: int = 1, direct: bool = False) -> None:
        """
        Let so many pairs meet, each place taken again as soon as its pair has ended.

        :param direct: whether they leave after HELLO.
        :raises RuntimeError: when the server does anything but what it should.
        """
        self._left = pairs
        self._direct = direct
        for _ in range(at_once):
            self.next()
        while self._handlers:
            events = self._poll.poll(_PATIENCE)
            if not events:
                raise RuntimeError("the server has stopped answering")
            for fd, _ in events:
                self._handlers[fd]()

    def wait(self, number: int) -> list[tuple[bytes, socket.socket]]:
        """So many acceptors that wait for their partners, each with its token."""
        waiting = []
        for index in range(number):
            token, sock = self.token(), self.open()
            sock.send(self.request(b"ACCEPT", token))
            waiting.append((token, sock))
            if index % _BATCH == 0:
                self.meet(1)
        self.meet(1)  # the server works in order: now it has seen them all
        return waiting


def rendezvous(name: str, pairs: int, at_once: int, direct: bool) -> dict[str, float]:
    """One run: pairs that come and go, *at_once* of them at any time."""
    with listening(*_SERVERS[name]) as (server, port):
        clients = Clients(port)
        clients.meet(max(pairs // 10, at_once), at_once, direct)
        clients.latencies.clear()
        wall, cpu, own = time.perf_counter(), server.cpu(), time.process_time()
        clients.meet(pairs, at_once, direct)
        wall = time.perf_counter() - wall
        cpu, own = server.cpu() - cpu, time.process_time() - own
    return {
        "rate": pairs / wall,
        "cpu": cpu / pairs * 1e6,
        "p50": percentile(clients.latencies, 50) * 1e3,
        "p99": percentile(clients.latencies, 99) * 1e3,
        "server": cpu / wall * 100,
        "clients": own / wall * 100,
    }


def memory(name: str, number: int) -> float:
    """One run: by how many bytes each of *number* waiting clients makes a server grow."""
    with listening(*_SERVERS[name]) as (server, port):
        clients = Clients(port)
        clients.meet(200)  # what is loaded and allocated once is not to be counted
        before = server.resident()
        waiting = clients.wait(number)
        grown = server.resident() - before
        # They are really there, the first as well as the last.
        for token, acceptor in [waiting[0], *waiting[: 0 : -max(1, number // 100)]]:
            dialer = clients.open()
            dialer.send(clients.request(b"DIAL", token))
            for sock in (dialer, acceptor):
                sock.settimeout(_PATIENCE)
                if not sock.recv(4096).startswith(b"HTTP/1.1 101 "):
                    raise RuntimeError("a waiting client was not matched")
            dialer.close()
        for _, acceptor in waiting:
            acceptor.close()
    return grown / number


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a rendezvous costs the server.")
    parser.add_argument("--pairs", type=int, default=4000, help="in each run (default 4000)")
    parser.add_argument("--at-once", type=int, default=16, help="for the throughput (default 16)")
    parser.add_argument("--waiting", type=int, default=10_000, help="clients (default 10000)")
    parser.add_argument("--runs", type=int, default=3, help="the median counts (default 3)")
    parser.add_argument("--workers", type=int, nargs="+", help="compare so many, instead")
    options = parser.parse_args()
    waiting = allow_files(options.waiting)
    print(machine(), flush=True)
    if options.workers:
        print(compare(options.workers, options.pairs, options.at_once, options.runs))
        return

    many = options.at_once
    cases = [("rdv", kind, at_once) for kind in ("direct", "relayed") for at_once in (1, many)]
    cases += [("bare", "relayed", 1), ("bare", "relayed", many)]
    runs: dict[tuple[str, str, int], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(options.runs):  # in turns, so that all have the same weather
        for name, kind, at_once in cases:
            run = rendezvous(name, options.pairs, at_once, kind == "direct")
            runs[name, kind, at_once].append(run)
    rows = []
    for name, kind, at_once in cases:
        run = of_medians(runs[name, kind, at_once])
        rows.append(
            [
                f"{name}, {kind}, {at_once} at once",
                f"{run['rate']:.0f}",
                f"{run['cpu']:.0f} us",
                f"{run['p50']:.2f} ms",
                f"{run['p99']:.2f} ms",
                f"{run['server']:.0f} %",
                f"{run['clients']:.0f} %",
            ]
        )
    head = ["pairs", "pairs/s", "server CPU", "HELLO p50", "p99", "server busy", "clients busy"]
    print(table(head, rows), end="\n\n")

    rows = []
    for name in _SERVERS:
        each = median(memory(name, waiting) for _ in range(options.runs))
        rows.append([f"{name}, {waiting} waiting", f"{each / 1024:.2f}"])
    print(table(["clients", "KiB each"], rows))


if __name__ == "__main__":
    main()
