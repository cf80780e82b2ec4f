"""
The part of ``benchmarks/rendezvous.py`` that compares numbers of worker processes.

Pairs meet in ``rdv serve --workers N`` and leave as soon as they have HELLO. The clients here are
``benchmarks/load.c``, built by ``cc``: clients in Python would be the bottleneck. ``server CPU`` is
that of all processes of the server. If ``machine busy`` is close to 100 %, another worker cannot
help, because the clients need a part of the machine, too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import of_medians, table
from benchmarks.relays import Tools, build, rdv

__all__ = ["compare"]


def _rendezvous(tools: Tools, workers: int, pairs: int, at_once: int) -> dict[str, float]:
    """One run: pairs that come and leave as soon as they have HELLO."""
    option = () if workers == 1 else ("--workers", str(workers))
    with rdv(tools, *option) as server:
        return server.load(
            *("--mode", "rendezvous", "--pairs", str(pairs), "--at-once", str(at_once))
        )


def compare(counts: Sequence[int], pairs: int, at_once: int, runs: int) -> str:
    """
    Measure each number of workers.

    :param runs: the number of runs of each, alternating; the result is the median.
    :return: a table.
    """
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(Path(folder))
        build(tools.folder)
        with tools.backend:
            found = [
                [_rendezvous(tools, workers, pairs, at_once) for workers in counts]
                for _ in range(runs)
            ]
    medians = [of_medians(results) for results in zip(*found, strict=True)]
    rows = []
    for workers, run in zip(counts, medians, strict=True):
        busy = run["relay_cpu"], run["generator_cpu"]
        everything = sum(busy) / run["seconds"] / (os.cpu_count() or 1)
        rows.append(
            [
                f"{workers} worker{'s'[: workers - 1]}, direct, {at_once} at once",
                f"{run['pairs_per_second']:.0f}",
                f"{run['pairs_per_second'] / medians[0]['pairs_per_second']:.2f}x",
                f"{run['relay_cpu_per_pair'] * 1e6:.0f} us",
                f"{run['p50_us'] / 1e3:.2f} ms",
                f"{run['p99_us'] / 1e3:.2f} ms",
                *(f"{cpu / run['seconds'] * 100:.0f} %" for cpu in busy),
                f"{everything * 100:.0f} %",
            ]
        )
    head = ["pairs", "pairs/s", "ratio", "server CPU", "HELLO p50", "p99"]
    return table([*head, "server busy", "clients busy", "machine busy"], rows)
