"""
What does a rendezvous cost the server?

There is a real ``rdv serve`` process on 127.0.0.1, and in this process minimal clients with plain
sockets and epoll. A pair is two connections, ACCEPT and DIAL, and the acceptor's HELLO through the
relay. Then, if it is ``direct``, both close, as clients do that have found a direct path; if it is
``relayed``, the dialer's CONFIRM goes through the relay, and the end of each direction, one after
the other.

``pairs/s`` is for one server process. ``server CPU`` is its user and system time for the whole life
of a pair. ``HELLO`` is the time from both requests until the dialer has the acceptor's HELLO line:
the match, and one trip through the relay. ``server busy`` and ``clients busy`` show which of the
two is the bottleneck: if it is the clients, the throughput is theirs.

Then a new server gets waiting clients: by how much does each of them make its resident memory grow?

For comparison, the same with ``benchmarks/bare.py``: a server that only reads the request with
``twisted.web``, joins two connections and copies.

With ``--other``, another server, or another version of this one, is measured as well, alternating
with it, for instance ``--other "env PYTHONPATH=../main python -m rdv -l 127.0.0.1:{port} serve"``.

With ``--embedded``, the server is a rendezvous inside another site, ``benchmarks/embedded.py``,
instead of ``rdv serve``: ``site`` listens itself, ``shortcut`` through a ``ShortcutFactory``, and
``quiet`` also creates no events below ``info``. Another version of it is measured as well with
``--other "env PYTHONPATH=../main python benchmarks/embedded.py {port}"``.

With ``--workers`` it compares numbers of worker processes instead: see ``benchmarks/workers.py``.

Run it from the checkout, on a quiet machine with two cores or more::

    python -m benchmarks.rendezvous
    python -m benchmarks.rendezvous --pairs 500 --waiting 1000 --runs 1
    python -m benchmarks.rendezvous --workers 1 2

It ends by itself, after about half a minute.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from statistics import median

from benchmarks.clients import PATIENCE, Clients
from benchmarks.common import (
    COMMAND,
    Program,
    allow_files,
    listening,
    machine,
    of_medians,
    percentile,
    table,
    told_where,
)
from benchmarks.workers import compare

#: The servers that are compared; the one that is measured comes first.
_SERVERS = {
    "rdv": (*COMMAND, "-l", "127.0.0.1:0", "serve", "--lobby-timeout", "600", "--no-limits"),
    "bare": (sys.executable, "-m", "benchmarks.bare"),
}
_OTHER = "other"
_EMBEDDED = {
    "site": (),
    "shortcut": ("--shortcut",),
    "quiet": ("--shortcut", "--quiet"),
}


def _server(name: str) -> AbstractContextManager[tuple[Program, int]]:
    start = told_where if name == _OTHER else listening
    return start(*_SERVERS[name])


def _compared(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> list[str]:
    """Our figures as fractions of theirs: the medians over neighbouring runs."""
    return [
        f"{median(one[name] / other[name] for one, other in zip(ours, theirs, strict=True)):.2f}x"
        for name in ("rate", "cpu", "p50", "p99")
    ]


def rendezvous(name: str, pairs: int, at_once: int, direct: bool) -> dict[str, float]:
    """One run: pairs that connect and leave, *at_once* of them at any time."""
    with _server(name) as (server, port):
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
    """One run: by how many bytes does each of *number* waiting clients make a server grow?"""
    with _server(name) as (server, port):
        clients = Clients(port)
        clients.meet(200)  # one-time allocations should not count
        before = server.resident()
        waiting = clients.wait(number)
        grown = server.resident() - before
        # Check that the clients are still waiting, the first as well as the last.
        for token, acceptor in [waiting[0], *waiting[: 0 : -max(1, number // 100)]]:
            dialer = clients.open()
            dialer.send(clients.request(b"DIAL", token))
            for sock in (dialer, acceptor):
                sock.settimeout(PATIENCE)
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
    parser.add_argument("--other", metavar="COMMAND", help="of another server; it has {port}")
    parser.add_argument("--embedded", action="store_true", help="a site's server, not rdv serve")
    parser.add_argument("--workers", type=int, nargs="+", help="compare so many, instead")
    options = parser.parse_args()
    waiting = allow_files(options.waiting)
    print(machine(), flush=True)
    if options.workers:
        print(compare(options.workers, options.pairs, options.at_once, options.runs))
        return

    many = options.at_once
    ours = ["rdv"]
    if options.embedded:
        ours = list(_EMBEDDED)
        del _SERVERS["rdv"]
        for name, arguments in _EMBEDDED.items():
            _SERVERS[name] = (sys.executable, "-m", "benchmarks.embedded", *arguments)
    kinds = [(kind, at_once) for kind in ("direct", "relayed") for at_once in (1, many)]
    others = [_OTHER] if options.other else []
    if options.other:
        _SERVERS[_OTHER] = tuple(shlex.split(options.other))
    cases = [(name, *kind) for name in [*ours, *others] for kind in kinds]
    cases += [("bare", "relayed", 1), ("bare", "relayed", many)]
    runs: dict[tuple[str, str, int], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(options.runs):  # alternating, so that changes of the load affect all
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
    if options.other:
        rows = []
        for name, kind, at_once in cases[: len(ours) * len(kinds)]:
            ratios = _compared(runs[name, kind, at_once], runs[_OTHER, kind, at_once])
            rows.append([f"{name}, {kind}, {at_once} at once", *ratios])
        print(table(["of the other", *head[1:5]], rows), end="\n\n")

    if not waiting:
        return
    rows = []
    for name in _SERVERS:
        each = median(memory(name, waiting) for _ in range(options.runs))
        rows.append([f"{name}, {waiting} waiting", f"{each / 1024:.2f}"])
    print(table(["clients", "KiB each"], rows))


if __name__ == "__main__":
    main()
