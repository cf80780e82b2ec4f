"""
Do two peers connect directly, and how fast?

``python -m benchmarks.natmatrix`` connects peers repeatedly in every topology of the laboratory
(``tests/natlab``) and at several distances. For each, it prints how often the application's bytes
took the direct path, and the median and the maximum time from the dialer's start to the first byte
for its application. Packet counters at the peers determine the path.

``--streams`` compares kinds of streams: ``plain``, ``secured`` ones that do not move, and those
that do (``moved``). Here the dialer's program reports the path, because counters cannot see that.
It prints the median time to the first byte and, if that is later, the median time until the stream
used the direct path; the stream stays open for some seconds for this.

It needs Linux, root, ``ip`` and ``nft``, a quiet machine, and most of an hour; topologies and
distances can be selected. ``--dialer plain`` and ``--acceptor plain`` use peers that dial once and
only know rdv/1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from statistics import median
from typing import Any

from benchmarks.common import machine, table
from rdv import Secret
from tests.natlab import TOPOLOGIES, Conditions, Expected, Meetings, Result, unavailable

#: Distances: one-way delays between the peers in milliseconds, with the server in the middle; or
#: names.
DISTANCES = ("0", "20", "80", "unequal", "far")

#: Kinds of streams.
STREAMS = ("plain", "secured", "moved")

#: The number of simultaneous labs where the result mainly depends on a wait of seconds.
_AT_ONCE = 4
#: Seconds within which a stream should have moved.
_SETTLE = 2.5


def measure(
    name: str, conditions: Conditions, options: argparse.Namespace, stream: str = "plain"
) -> list[Result]:
    """
    All runs in one topology at one distance, without the first one, in which nothing is cached.
    """
    settle = _SETTLE if stream == "moved" else 0.0
    moves = {} if stream == "plain" else {"move": stream == "moved"}
    with Meetings(
        TOPOLOGIES[name],
        conditions,
        dialer=options.dialer,
        acceptor=options.acceptor,
        server=options.server,
        dialer_options=moves,
        acceptor_options=moves,
    ) as meetings:

        def meet() -> Result:
            token = None if stream == "plain" else Secret.generate().reveal()
            return meetings.meet(token=token, settle=settle)

        return [meet() for _ in range(options.runs + 1)][1:]


def compared(results: Sequence[Result]) -> str:
    """
    ``10/10 145``: direct in the end, median milliseconds to the first byte; with ``, 812`` behind
    it when the stream went directly only later. What failed is in capitals.
    """
    direct = [each.direct_seconds for each in results if each.direct_seconds is not None]
    first = [each.seconds for each in results if each.seconds is not None]
    words = f"{len(direct)}/{len(results)}"
    if first:
        words += f" {median(first) * 1000:.0f}"
    if direct and first and median(direct) > median(first):
        words += f", {median(direct) * 1000:.0f}"
    if failed := sum(not each.ok for each in results):
        words += f" FAILED {failed}"
    return words


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
    """Results by topology, and by distance and kind of stream."""
    found: dict[str, dict[str, list[Result]]] = {name: {} for name in options.names}
    for distance, stream in product(options.distances, options.streams or ["plain"]):
        conditions = Conditions.named(distance, loss=options.loss)
        column = f"{distance} {stream}" if options.streams else distance

        def one(
            name: str, column: str = column, conditions: Any = conditions, stream: str = stream
        ) -> None:
            found[name][column] = measure(name, conditions, options, stream)
            say(f"{name} {column}: {options.cell(found[name][column])}")

        waits = {n for n in options.names if TOPOLOGIES[n].expected in _RELAYED}
        for name in options.names:
            if name not in waits:
                one(name)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(one, sorted(waits)))
    return found


_HEADING = "direct meetings, median and worst ms to the first byte"
_COMPARED = "direct meetings, median ms to the first byte, and to a direct path that came later"
_RELAYED = (Expected.RELAY, Expected.LUCK)


def say(line: str) -> None:
    """Report the progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="natmatrix", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="TOPOLOGY", help="default: all")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument(
        "--distances", type=lambda text: text.split(","), default=DISTANCES, metavar="LIST"
    )
    parser.add_argument(
        "--streams",
        type=lambda text: text.split(","),
        metavar="LIST",
        help=f"compare some of {', '.join(STREAMS)}",
    )
    parser.add_argument("--loss", type=float, default=0.0, metavar="PERCENT")
    for who in ("dialer", "acceptor", "server"):
        parser.add_argument(f"--{who}", choices=("rdv", "plain"), default="rdv")
    parser.add_argument("--json", metavar="FILE", help="write every meeting there")
    options = parser.parse_args()
    options.names = options.names or list(TOPOLOGIES)
    options.cell = compared if options.streams else cell
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
    print(_COMPARED if options.streams else _HEADING)
    columns = list(found[options.names[0]])
    rows = [[name, *(options.cell(row[each]) for each in columns)] for name, row in found.items()]
    print(table(["topology", *columns], rows))


if __name__ == "__main__":
    main()
