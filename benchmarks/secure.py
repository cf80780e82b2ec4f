"""
What does a secured stream cost, compared with a plain one and with TLS?

``handshake``: CPU of both sides together, in memory.

``dial``: milliseconds until the peer's first byte has arrived: over loopback, one dial after the
other; with ``--distance`` also in the laboratory (``tests/natlab``: Linux, root, ``ip``, ``nft``),
where the peers have public addresses and the server is halfway between them.

``throughput``: one stream from this process to another, directly over loopback, in pieces of 64
KiB. ``CPU`` is that of both sides for one GB; the ratios are medians over neighbouring runs.
``socat`` sends as much from ``/dev/zero`` to ``/dev/null``, through its own TLS.

``files``: a file in memory through the commands, and with ``--wormhole`` through magic-wormhole
with its mailbox server and its relay on this host. The option names the folder with its programs,
from::

    python -m venv /tmp/wormhole
    /tmp/wormhole/bin/pip install magic-wormhole magic-wormhole-{mailbox-server,transit-relay}

``memory``: by how much each open and silent connection makes the process on the other side grow.

All alternate. Run it from the checkout, on a machine with at least two cores and with ``socat``::

    python -m benchmarks.secure --congestion cubic
    python -m benchmarks.secure --only throughput --runs 5 --size 256
    python -m benchmarks.secure --only dial --distance 80
    python -m benchmarks.secure --only files --wormhole /tmp/wormhole/bin --congestion cubic

It ends by itself, after some minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import react

from benchmarks.common import Program, allow_files, environment, machine, percentile, table
from benchmarks.files import Running, free_port, wait_for_listener
from benchmarks.handshakes import report_handshake
from benchmarks.namespace import run_inside
from benchmarks.peers import SPACES
from benchmarks.streams import MIB, Counter, close, connect, stdin_ended, throughput
from benchmarks.transfers import report_transfers
from rdv import Secret
from rdv.client import Client
from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.test.certificates import Authority
from rdv.wire import Role
from tests.natlab import TOPOLOGIES, Conditions, Meetings, unavailable

_PLAIN = "plain"
_KINDS = (_PLAIN, "secured", "TLS", "TCP")
_QUESTIONS = ("handshake", "dial", "throughput", "files", "memory")


async def _report_dial(endpoints: dict[str, Any], dials: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in endpoints}
    for _ in range(dials + 1):
        for name, endpoint in endpoints.items():
            sender, took = await connect(endpoint)
            times[name].append(took)
            await close(sender)
    _print_dials("over loopback", {name: each[1:] for name, each in times.items()})


def _report_distant_dial(distance: float, dials: int) -> None:
    times: dict[str, list[float]] = {_PLAIN: [], "secured": []}
    conditions = Conditions(distance / 2, distance / 2, distance)
    with Meetings(TOPOLOGIES["public"], conditions) as meetings:
        for _ in range(dials + 1):
            for name, each in times.items():
                token = Secret.generate().reveal() if name != _PLAIN else None
                each.append(meetings.meet(token=token).seconds or float("nan"))
    title = f"{distance:.0f} ms one way"
    _print_dials(title, {name: each[1:] for name, each in times.items()})


def _print_dials(title: str, times: dict[str, list[float]]) -> None:
    rows = []
    for name, each in times.items():
        more = median(a - b for a, b in zip(each, times[_PLAIN], strict=True))
        values = percentile(each, 50), percentile(each, 99), more
        rows.append([name, *(f"{value * 1e3:.2f} ms" for value in values)])
    print(table([f"dial, {title}", "p50", "p99", "more than plain"], rows), flush=True)


def _socat(folder: str, size: int) -> list[float]:
    """Like :func:`throughput`."""
    port, env = free_port(), dict(os.environ)
    common = ["socat", "-u", "-b", "65536"]
    listen = f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,cert={folder}/pem,verify=0"
    to = f"OPENSSL:127.0.0.1:{port},cafile={folder}/ca,nodelay"
    null = subprocess.DEVNULL
    receiver = Running([*common, listen, "OPEN:/dev/null,wronly"], null, null, env)
    wait_for_listener(port)
    begun = time.perf_counter()
    sender = Running([*common, f"OPEN:/dev/zero,readbytes={size}", to], null, null, env)
    used = sender.ended() + receiver.ended()
    return [size / MIB / (time.perf_counter() - begun), used * 1024 * MIB / size]


async def _report_throughput(
    endpoints: dict[str, Any], other: Program, folder: str, runs: int, size: int
) -> None:
    names = [*endpoints, "socat openssl"]
    results: dict[str, list[list[float]]] = {name: [] for name in names}
    for number in range(runs):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if name in endpoints:
                results[name].append(await throughput(endpoints[name], other, size))
            else:
                results[name].append(_socat(folder, size))
    rows = []
    for name, values in results.items():
        rate, cpu = (median(column) for column in zip(*values, strict=True))
        cells = [f"{rate * MIB / 1e6:.0f} MB/s", f"{cpu / (1024 * MIB) * 1e9:.2f} s"]
        for column in (0, 1):
            pairs = zip(results["secured"], values, strict=True)
            ratio = median(ours[column] / theirs[column] for ours, theirs in pairs)
            cells.append(f"{ratio:.2f}")
        rows.append([name, *cells])
    head = ["throughput", "p50", "CPU per GB", "secured has of it", "CPU"]
    print(table(head, rows), flush=True)


async def _other_side(reactor: Any, url: str, folder: str) -> None:
    """Listen in every way, and report it."""
    factory = Factory.forProtocol(Counter)
    factory.noisy = False
    pem = PrivateCertificate.loadPEM(Path(folder, "pem").read_bytes())
    allow_files(5000)
    tcp: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    tls: Any = await SSL4ServerEndpoint(reactor, 0, pem.options(), interface="127.0.0.1").listen(
        factory
    )
    for token in _PLAIN, Path(folder, "secret").read_text():
        client = Client(reactor, spaces=SPACES)
        listening: Any = await RendezvousServerEndpoint(client, url, token).listen(factory)
        await listening.waiting
    print(f"PORTS: {tcp.getHost().port} {tls.getHost().port}", flush=True)
    await stdin_ended()


@contextmanager
def _started(
    reactor: Any, env: dict[str, str], url: str, folder: str
) -> Iterator[tuple[Program, dict[str, Any]]]:
    """Start the other side; return it, and an endpoint for each kind of connection to it."""
    argv = (sys.executable, "-m", "benchmarks.secure", "--other-side", url, folder)
    with Program(*argv, env=env) as other:
        ports = [int(port) for port in other.line(r"PORTS: (.*)")[1].split()]
        client = Client(reactor, spaces=SPACES)
        secret = Path(folder, "secret").read_text()
        tls = PrivateCertificate.loadPEM(Path(folder, "pem").read_bytes()).options()
        rendezvous = [RendezvousEndpoint(client, Role.DIALER, url, t) for t in (_PLAIN, secret)]
        both = SSL4ClientEndpoint(reactor, "127.0.0.1", ports[1], tls)
        bare = TCP4ClientEndpoint(reactor, "127.0.0.1", ports[0])
        yield other, dict(zip(_KINDS, (*rendezvous, both, bare), strict=True))


async def _report_memory(started: Callable[[], Any], number: int) -> None:
    rows = []
    for name in _KINDS:
        with started() as (other, endpoints):
            # One-time allocations happen with the first connections.
            senders = [(await connect(endpoints[name]))[0] for _ in range(50)]
            before = other.resident()
            for _ in range(number):
                senders.append((await connect(endpoints[name]))[0])
            rows.append([name, f"{(other.resident() - before) / number / 1024:.2f}"])
            for sender in senders:
                await close(sender)
    print(table(["idle connections", "KiB each"], rows), flush=True)


async def _measure(reactor: Any, options: argparse.Namespace) -> None:
    wanted = options.only or _QUESTIONS
    if "handshake" in wanted:
        report_handshake(options.runs)
    if "dial" in wanted and options.distance and not unavailable():
        _report_distant_dial(options.distance, options.dials // 10)
    allow_files(5000)
    server_argv = (sys.executable, "-m", "benchmarks.peers", "server")
    with (
        environment() as env,
        tempfile.TemporaryDirectory() as folder,
        Program(*server_argv, env=env) as server,
    ):
        url = f"http://{server.line('LISTENING: (.*)')[1]}/rdv"
        authority = Authority()
        Path(folder, "ca").write_bytes(authority.pem)
        Path(folder, "pem").write_bytes(authority.issue("127.0.0.1"))
        Path(folder, "secret").write_text(Secret.generate().reveal())

        def started() -> Any:
            return _started(reactor, env, url, folder)

        with started() as (other, endpoints):
            if "dial" in wanted:
                await _report_dial(endpoints, options.dials)
            if "throughput" in wanted:
                sizes = options.runs, options.size * MIB
                await _report_throughput(endpoints, other, folder, *sizes)
        if "files" in wanted:
            report_transfers(options.wormhole, options.runs, options.size * MIB, env)
        if "memory" in wanted:
            await _report_memory(started, options.idle)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a secured stream costs.")
    add = parser.add_argument
    add("--only", action="append", choices=_QUESTIONS)
    add("--dials", type=int, default=200, help="of each kind (default 200)")
    add("--distance", type=float, help="also dial so many ms apart, a tenth as often")
    add("--runs", type=int, default=9, help="of each kind (default 9)")
    add("--size", type=int, default=512, help="MiB a run (default 512)")
    add("--wormhole", metavar="FOLDER", type=Path, help="of the programs of magic-wormhole")
    add("--idle", type=int, default=1000, help="connections (default 1000)")
    add("--congestion", metavar="NAME", help="of loopback, in a namespace of its own (root)")
    add("--other-side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.other_side:
        react(lambda reactor: Deferred.fromCoroutine(_other_side(reactor, *options.other_side)))
        return
    about = machine()
    if options.congestion:
        status = run_inside("benchmarks.secure", sys.argv[1:], options.congestion)
        if status is not None:
            sys.exit(status)
        about += f"; {options.congestion} on loopback, in a network namespace"
    print(about, flush=True)
    react(lambda reactor: Deferred.fromCoroutine(_measure(reactor, options)))


if __name__ == "__main__":
    main()
