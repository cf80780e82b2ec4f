"""
What does the endpoint cost, compared with a bare TCP endpoint?

The same factories are connected through ``TCP4ClientEndpoint`` and through ``RendezvousEndpoint``,
from this process to another one on this host; with rdv directly over loopback, and through the
relay. The rendezvous server is a third process.

``connect``: milliseconds from ``endpoint.connect`` until the peer's first byte has arrived, one
connection after the other. With rdv this includes two requests to the server, ports opened on both
sides, and the race.

``throughput``: MiB per second of one stream, from the first byte to the arrival of the answer to
the last one; the sender is a push producer of 64 KiB pieces. ``CPU`` is that of both sides for one
GiB.

All runs alternate, and each run with rdv is compared with the TCP run next to it, so that changes
of the machine's load affect both; the ratio is the median of these. Run it from the checkout, on a
machine with at least two cores::

    python -m benchmarks.endpoint
    python -m benchmarks.endpoint --dials 20 --runs 3 --size 256
    python -m benchmarks.endpoint --congestion cubic

It ends by itself, after about a minute.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react

from benchmarks.common import Program, environment, machine, percentile, table
from benchmarks.namespace import run_inside
from benchmarks.peers import SPACES
from benchmarks.streams import MIB, Counter, close, connect, stdin_ended, throughput
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.wire import Role

_PATHS = {"direct": SPACES, "relay": AddressSpace.NONE}


async def _other_side(reactor: Any, url: str) -> None:
    """Listen in every way, and report it."""
    factory = Factory.forProtocol(Counter)
    factory.noisy = False
    port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    for path, spaces in _PATHS.items():
        endpoint = RendezvousServerEndpoint(Client(reactor, spaces=spaces), url, path)
        listening: Any = await endpoint.listen(factory)
        await listening.waiting
    print(f"LISTENING: 127.0.0.1:{port.getHost().port}", flush=True)
    await stdin_ended()


async def _measure(reactor: Any, dials: int, runs: int, size: int) -> None:
    module = (sys.executable, "-m")
    with environment() as env, Program(*module, "benchmarks.peers", "server", env=env) as server:
        url = f"http://{server.line('LISTENING: (.*)')[1]}/rdv"
        with Program(*module, "benchmarks.endpoint", "--other-side", url, env=env) as other:
            number = int(other.line(r"LISTENING: .*:(\d+)")[1])
            endpoints: dict[str, Any] = {"TCP": TCP4ClientEndpoint(reactor, "127.0.0.1", number)}
            for path, spaces in _PATHS.items():
                client = Client(reactor, spaces=spaces)
                endpoints[path] = RendezvousEndpoint(client, Role.DIALER, url, path)
            await _report_connect(endpoints, dials)
            await _report_throughput(endpoints, other, runs, size)


async def _report_connect(endpoints: dict[str, Any], dials: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in endpoints}
    for _ in range(dials + 1):
        for name, endpoint in endpoints.items():
            sender, took = await connect(endpoint)
            times[name].append(took * 1e3)
            await close(sender)
    rows = []
    for name, (first, *others) in times.items():
        extra = median(a - b for a, b in zip(others, times["TCP"][1:], strict=True))
        values = [percentile(others, 50), percentile(others, 99), extra, first]
        rows.append([name, *(f"{value:.2f} ms" for value in values)])
    print(table(["connect", "p50", "p99", "more than TCP", "first"], rows), flush=True)


async def _report_throughput(
    endpoints: dict[str, Any], other: Program, runs: int, size: int
) -> None:
    results: dict[str, list[list[float]]] = {name: [] for name in endpoints}
    names = list(endpoints)
    for number in range(runs):
        # Change the order, so that the run after the relay's is not always the same one.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            results[name].append(await throughput(endpoints[name], other, size))
    rows = []
    for name, values in results.items():
        ratio = median(a[0] / b[0] for a, b in zip(values, results["TCP"], strict=True))
        rate, cpu = (median(column) for column in zip(*values, strict=True))
        used = median(a[1] / b[1] for a, b in zip(values, results["TCP"], strict=True))
        cells = [f"{rate:.0f} MiB/s", f"{100 * ratio:.1f} %", f"{cpu:.2f} s", f"{100 * used:.1f} %"]
        rows.append([name, *cells])
    print(table(["throughput", "p50", "of TCP", "CPU per GiB", "of TCP"], rows), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the endpoint costs beside bare TCP.")
    parser.add_argument("--dials", type=int, default=200, help="of each kind (default 200)")
    parser.add_argument("--runs", type=int, default=15, help="of each kind (default 15)")
    parser.add_argument("--size", type=int, default=512, help="MiB a run (default 512)")
    parser.add_argument(
        "--congestion",
        metavar="NAME",
        help="in a network namespace whose loopback has this congestion control (root)",
    )
    parser.add_argument("--other-side", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.other_side:
        react(lambda reactor: Deferred.fromCoroutine(_other_side(reactor, options.other_side)))
        return
    about = machine()
    if options.congestion:
        status = run_inside("benchmarks.endpoint", sys.argv[1:], options.congestion)
        if status is not None:
            sys.exit(status)
        about += f"; {options.congestion} on loopback, in a network namespace"
    print(about, flush=True)
    numbers = options.dials, options.runs, options.size * MIB
    react(lambda reactor: Deferred.fromCoroutine(_measure(reactor, *numbers)))


if __name__ == "__main__":
    main()
