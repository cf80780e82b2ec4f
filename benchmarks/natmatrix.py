"""
Do two peers meet directly, and how soon?

``python -m benchmarks.natmatrix`` lets peers meet again and again in every topology of the
laboratory (``tests/natlab``) and at several distances, and prints for each how often the
application's bytes went the direct way, and the median and the worst time from the dialer's start
to the first byte that its application got. The way is what packet counters at the peers saw.

It needs Linux, root, ``ip`` and ``nft``, a quiet machine, and most of an hour; topologies and
distances can be chosen. ``--dialer plain`` and ``--acceptor plain`` put peers in that dial once and
know rdv/1 only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from benchmarks.common import machine, table
from tests.natlab import TOPOLOGIES, Conditions, Expected, Meetings, Result, unavailable

#: Distances: one way between the peers in milliseconds, with the server in the middle, or named.
DISTANCES = ("0", "20", "80", "unequal", "far")

#: Labs at once where all that counts is a wait of seconds.
_AT_ONCE = 4


def measure(name: str, conditions: Conditions, options: argparse.Namespace) -> list[Result]:
    """All meetings in one topology at one distance; the first, in which all is cold, is dropped."""
    with Meetings(
        TOPOLOGIES[name],
        conditions,
        dialer=options.dialer,
        acceptor=options.acceptor,
        server=options.server,
    ) as meetings:
        return [meetings.meet() for _ in range(options.runs + 1)][1:]


def cell(results: Sequence[Result]) -> str:
    """``10/10 145 151``: direct, median and worst milliseconds; what must not be is in capitals."""
    direct = sum(result.path == "direct" for result in results)
    times = [result.seconds * 1000 for result in results if result.seconds is not None]
    words = [f"{direct}/{len(results)}"]
    if times:
        words += [f"{median(times):.0f}", f"{max(times):.0f}"]
    if dead := sum(result.half_dead for result in results):
        words.append(f"HALF-DEAD {dead}")
    if lost := sum(result.path not in ("direct", "relay") for result in results):
        words.append(f"NONE {lost}")
    return " ".join(words)


def matrix(options: argparse.Namespace) -> dict[str, dict[str, list[Result]]]:
    """Results by topology and distance."""
    found: dict[str, dict[str, list[Result]]] = {name: {} for name in options.names}
    for distance in options.distances:
        conditions = Conditions.named(distance, loss=options.loss)

        def one(name: str, distance: str = distance, conditions: Any = conditions) -> None:
            found[name][distance] = measure(name, conditions, options)
            say(f"{name} {distance}: {cell(found[name][distance])}")

        waits = {n for n in options.names if TOPOLOGIES[n].expected in _RELAYED}
        for name in options.names:
            if name not in waits:
                one(name)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(one, sorted(waits)))
    return found


_RELAYED = (Expected.RELAY, Expected.LUCK)


def say(line: str) -> None:
    """How far it is, for whoever waits."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="natmatrix", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="TOPOLOGY", help="default: all")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument(
        "--distances", type=lambda text: text.split(","), default=DISTANCES, metavar="LIST"
    )
    parser.add_argument("--loss", type=float, default=0.0, metavar="PERCENT")
    for who in ("dialer", "acceptor", "server"):
        parser.add_argument(f"--{who}", choices=("rdv", "plain"), default="rdv")
    parser.add_argument("--json", metavar="FILE", help="write every meeting there")
    options = parser.parse_args()
    options.names = options.names or list(TOPOLOGIES)
    if reason := unavailable():
        parser.error(reason)
    about = machine()
    found = matrix(options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {
                    name: {far: [each.as_dict() for each in runs] for far, runs in row.items()}
                    for name, row in found.items()
                },
                file,
            )
    print(about)
    print("direct meetings, median and worst ms to the first byte")
    rows = [[name, *(cell(row[far]) for far in options.distances)] for name, row in found.items()]
    print(table(["topology", *options.distances], rows))


if __name__ == "__main__":
    main()
