"""
Does a full server work as well as an empty one?

A real ``rdv serve`` process on 127.0.0.1 gets, step by step, silent relayed pairs, and acceptors
that wait for a peer, up to the number that it has descriptors for: a pair takes two of them, a
waiting client one. The clients are in processes of their own (``crowd`` below), because every
process, server or crowd, has the same limit: ``ulimit -Hn``.

At each step this process measures new pairs, one at a time, while all other clients are silent.
``HELLO`` is the time from both requests until the dialer has the acceptor's HELLO line, through the
relay. The columns with an ``x`` are ratios to another server that stays empty; the two alternate,
so that changes of the machine's load affect both.

Then everything is idle for some seconds, and the server's CPU time is measured. Each relayed pair
moves a byte both ways. The clients of one crowd leave at once while new pairs continue to meet:
``longest HELLO`` is the maximum for these. Finally the server is told to stop, and refuses all
waiting clients.

Run it from the checkout, on a quiet machine with two cores or more::

    python -m benchmarks.scale
    python -m benchmarks.scale --waiting 2000 --pairs 200

It ends by itself, after about a minute.
"""

from __future__ import annotations

import argparse
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from os import kill

from benchmarks.clients import Clients
from benchmarks.common import (
    COMMAND,
    Program,
    listening,
    machine,
    of_medians,
    percentile,
    table,
)
from rdv._system.descriptors import first_reserved
from rdv.wire import confirm_line, hello_line

#: Seconds within which any event must happen.
_PATIENCE = 30.0
#: How often the full and the empty server are measured in turn.
_TURNS = 3
#: Descriptors that a process needs for itself and for a new pair.
_OWN = 64


class Crowd(Clients):
    """Clients that stay, in a process of their own that gets orders line by line."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(port)
        self._name = name.encode()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._waiting: list[socket.socket] = []

    def token(self) -> bytes:
        """A token that no other process uses either."""
        return self._name + super().token()

    def obey(self) -> None:
        """Execute the orders on stdin, until it ends."""
        orders: dict[str, Callable[[int], None]] = {
            "pairs": self._join,
            "wait": lambda number: self._waiting.extend(s for _, s in self.wait(number)),
            "move": self._move,
            "refused": self._refused,
            "leave": self._leave,
        }
        for line in sys.stdin:
            order, number = line.split()
            orders[order](int(number))
            print(f"DONE: {order}", flush=True)

    def _join(self, number: int) -> None:
        """Start this many relayed pairs that are then silent."""
        for _ in range(number):
            token = self.token()
            acceptor, dialer = pair = self.open(), self.open()
            for sock, method in ((acceptor, b"ACCEPT"), (dialer, b"DIAL")):
                sock.settimeout(_PATIENCE)
                sock.sendall(self.request(method, token))
            _expect(acceptor, b"\r\n\r\n")
            acceptor.sendall(hello_line(token))
            _expect(dialer, hello_line(token))
            dialer.sendall(confirm_line(token))
            _expect(acceptor, confirm_line(token))
            self._pairs.append(pair)

    def _move(self, _: int) -> None:
        """Move a byte through each pair, both ways."""
        for pair in self._pairs:
            for source, sink in (pair, pair[::-1]):
                source.sendall(b"x")
                _expect(sink, b"x")

    def _refused(self, _: int) -> None:
        """Expect that the waiting clients are refused because the server stops."""
        for sock in self._waiting:
            sock.settimeout(_PATIENCE)
            if not sock.recv(4096).startswith(b"HTTP/1.1 503 "):
                raise RuntimeError("a waiting client was not told")
            sock.close()

    def _leave(self, _: int) -> None:
        for sock in self._waiting:
            sock.close()
        for pair in self._pairs:
            for sock in pair:
                sock.close()


def _expect(sock: socket.socket, end: bytes) -> None:
    heard = b""
    while not heard.endswith(end):
        data = sock.recv(4096)
        if not data:
            raise RuntimeError(f"the server has closed behind {heard!r}")
        heard += data


class _Fresh(Clients):
    """Pairs that connect and leave."""

    def measure(self, server: Program, pairs: int) -> dict[str, float]:
        """The cost of *pairs* pairs, one at a time: us, ms, ms."""
        self.meet(pairs // 10)
        self.latencies.clear()
        cpu = server.cpu()
        self.meet(pairs)
        return {
            "cpu": (server.cpu() - cpu) / pairs * 1e6,
            "p50": percentile(self.latencies, 50) * 1e3,
            "p99": percentile(self.latencies, 99) * 1e3,
        }


class _Steps:
    """The table of new pairs; each row compares with a server that is empty at the same time."""

    def __init__(self, full: tuple[Program, int], empty: tuple[Program, int], pairs: int) -> None:
        self._sides = [(server, _Fresh(port)) for server, port in (full, empty)]
        self._pairs = pairs
        self.rows: list[list[str]] = []

    def measure(self, name: str) -> None:
        """Add a row: the medians of both servers, alternating."""
        runs: list[list[dict[str, float]]] = [[], []]
        for _ in range(_TURNS):
            for side, (server, fresh) in enumerate(self._sides):
                runs[side].append(fresh.measure(server, self._pairs // _TURNS))
        full, empty = map(of_medians, runs)
        cells = [f"{full['cpu']:.0f} us", f"{full['p50']:.2f} ms", f"{full['p99']:.2f} ms"]
        ratios = [f"{full[name] / max(empty[name], 1e-9):.2f}" for name in ("cpu", "p50", "p99")]
        self.rows.append([name, *cells, *ratios])

    def __str__(self) -> str:
        head = ["fresh pairs in a server with", "server CPU", "HELLO p50", "p99"]
        return table([*head, *("x CPU", "x p50", "x p99")], self.rows)


def _all(crowds: list[Program], order: str, number: int) -> None:
    """Divide this number among the crowds, which work at the same time."""
    for index, crowd in enumerate(crowds):
        crowd.tell(f"{order} {number // len(crowds) + (index < number % len(crowds))}")
    for crowd in crowds:
        crowd.line(f"DONE: {order}")


def scale(pairs: int, waiting: int, each: int, processes: int, idle: float) -> None:
    """Fill a server, measure it, and empty it; print the results."""
    with ExitStack() as stack:
        options = (
            "-l",
            "127.0.0.1:0",
            "serve",
            "--lobby-timeout",
            "0",
            "--drain",
            "0",
            "--no-limits",
        )
        server, port = stack.enter_context(listening(*COMMAND, *options))
        reference = stack.enter_context(listening(*COMMAND, *options))
        argv = (sys.executable, "-m", "benchmarks.scale", "--crowd", str(port))
        crowds = [stack.enter_context(Program(*argv, str(n))) for n in range(processes)]
        steps = _Steps((server, port), reference, each)
        steps.measure("nobody")
        empty, files = server.resident(), server.open_files()

        _all(crowds, "pairs", pairs)
        joined = server.resident()
        if pairs:
            steps.measure(f"{pairs} relayed pairs")
        there, before = 0, server.resident()
        resident = before
        for level in [*(level for level in (1000, 10_000) if level < waiting), waiting]:
            _all(crowds, "wait", level - there)
            there, resident = level, server.resident()
            steps.measure(f"and {level} who wait")
        print(steps, end="\n\n")

        cpu = server.cpu()
        time.sleep(idle)
        cpu = server.cpu() - cpu
        facts = [
            ["open files of the server", f"{server.open_files()}"],
            ["memory for a relayed pair", f"{(joined - empty) / max(pairs, 1) / 1024:.2f} KiB"],
            [
                "memory for a client that waits",
                f"{(resident - before) / max(waiting, 1) / 1024:.2f} KiB",
            ],
            [f"server CPU, all silent for {idle:g} s", f"{cpu * 1e3:.0f} ms"],
        ]
        begun = time.perf_counter()
        _all(crowds, "move", 0)
        facts.append(["a byte both ways through each pair", f"{time.perf_counter() - begun:.2f} s"])

        leaving, *crowds = crowds
        held = server.open_files()
        gone = (held - files) // processes
        fresh = _Fresh(port)
        begun = time.perf_counter()
        leaving.tell("leave 0")
        while server.open_files() > held - gone + _OWN:
            fresh.meet(10)
            if time.perf_counter() - begun > _PATIENCE:
                raise RuntimeError("clients that have left are still there")
        facts.append([f"{gone} leave: gone after", f"{time.perf_counter() - begun:.2f} s"])
        facts.append(["longest HELLO meanwhile", f"{max(fresh.latencies) * 1e3:.1f} ms"])
        begun = time.perf_counter()
        kill(server.pid, signal.SIGTERM)
        _all(crowds, "refused", 0)
        facts.append(
            ["the others refused at the end after", f"{time.perf_counter() - begun:.2f} s"]
        )
        print(table(["", ""], facts))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Does a full server work as an empty one?")
    parser.add_argument("--pairs", type=int, default=2000, help="relayed (default 2000)")
    parser.add_argument("--waiting", type=int, default=20_000, help="if they fit (default 20000)")
    parser.add_argument("--each", type=int, default=1000, help="fresh pairs a step (default 1000)")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds of silence (default 5)")
    parser.add_argument("--crowd", nargs=2, metavar=("PORT", "NAME"), help="be one of the crowds")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.crowd:
        port, name = options.crowd
        Crowd(int(port), name).obey()
        return
    pairs = min(options.pairs, (first_reserved() - _OWN) // 4)
    waiting = min(options.waiting, first_reserved() * 3 // 4, first_reserved() - _OWN - 2 * pairs)
    processes = max(2, next(n for n in count(1) if (waiting + 2 * pairs) / n < hard - _OWN))
    print(machine())
    print(
        f"limit of open files {hard}: {pairs} relayed pairs and {waiting} waiting, "
        f"held by {processes} processes",
        end="\n\n",
        flush=True,
    )
    scale(pairs, waiting, options.each, processes, options.idle)


if __name__ == "__main__":
    main()
