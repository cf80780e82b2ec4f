"""
The report of ``benchmarks/relay.py``: tables with ratios, and which targets are met.

``python -m benchmarks.relay_report FILE`` prints it again from the output of ``--json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.common import table

__all__ = ["report"]

#: The medians for each case, by (group, pairs, size, cores), and each relay.
_Results: TypeAlias = Mapping[tuple[str, int, int, int], Mapping[str, Mapping[str, float]]]

_WORDS = {"oneway": "one way", "both": "both ways"}


@dataclass(frozen=True)
class _Aim:
    """
    The ratio of rdv's figure to another one, or rdv's figure itself.

    :ivar other: the relay to compare with, or None.
    :ivar least: whether *bound* is a minimum instead of a maximum.
    """

    what: str
    where: tuple[str, int, int, int]
    figure: str
    other: str | None
    bound: float
    least: bool = False


_AIMS = (
    _Aim("throughput", ("oneway", 1, 0, 0), "gb_per_second", "haproxy", 1.5, least=True),
    _Aim("throughput", ("oneway", 1, 0, 0), "gb_per_second", "C loop", 1.0, least=True),
    *(
        _Aim("throughput", ("oneway", pairs, 0, 0), "gb_per_second", other, 1.0, least=True)
        for pairs in (100, 1000)
        for other in ("haproxy", "C loop")
    ),
    _Aim("CPU per GB", ("oneway", 1, 0, 0), "relay_cpu_per_gb", "C loop", 1.1),
    _Aim("CPU per GB", ("oneway", 100, 0, 0), "relay_cpu_per_gb", "C loop", 1.3),
    *(
        _Aim("p50", ("pingpong", pairs, size, cores), "p50_us", "haproxy", 1.2)
        for size in (64, 4096)
        for pairs in (1, 50)
        for cores in (1, 2)
    ),
    _Aim("KiB of an idle pair", ("memory", 1000, 0, 0), "idle_kib", None, 5.0),
)


def _ratio(figure: str, other: str, relays: Mapping[str, Mapping[str, float]], relay: str) -> str:
    """The ratio of a relay's figure to another one's, as ``1.25x``."""
    if other not in relays or not relays[other][figure]:
        return ""
    return f"{relays[relay][figure] / relays[other][figure]:.2f}x"


def _busy(run: Mapping[str, float], who: str) -> str:
    return f"{run[f'{who}_cpu'] / run['seconds'] * 100:.0f} %"


def _throughput(relays: Mapping[str, Mapping[str, float]], relay: str) -> list[str]:
    run = relays[relay]
    return [
        f"{run['gb_per_second']:.2f}",
        _ratio("gb_per_second", "haproxy", relays, relay),
        _ratio("gb_per_second", "C loop", relays, relay),
        f"{run['relay_cpu_per_gb']:.3f}",
        _ratio("relay_cpu_per_gb", "haproxy", relays, relay),
        _ratio("relay_cpu_per_gb", "C loop", relays, relay),
        _busy(run, "relay"),
        f"{run['generator_cpu_per_gb']:.3f}",
        _busy(run, "generator"),
        f"{run['fairness']:.2f}" if run["pairs"] > 1 else "",
    ]


def _latency(relays: Mapping[str, Mapping[str, float]], relay: str) -> list[str]:
    run = relays[relay]
    return [
        f"{run['p50_us']:.0f} us",
        _ratio("p50_us", "haproxy", relays, relay),
        _ratio("p50_us", "C loop", relays, relay),
        f"{run['p99_us']:.0f} us",
        f"{run['messages_per_second']:.0f}",
        f"{run['relay_cpu_per_message'] * 1e6:.1f} us",
        _busy(run, "relay"),
        _busy(run, "generator"),
    ]


def _memory(relays: Mapping[str, Mapping[str, float]], relay: str) -> list[str]:
    run = relays[relay]
    return [f"{run['idle_kib']:.1f}", f"{run['used_kib']:.1f}"]


_Cells: TypeAlias = Callable[[Mapping[str, Mapping[str, float]], str], list[str]]
_THROUGHPUT = (
    (
        *("GB/s", "/haproxy", "/C loop", "CPU s/GB", "/haproxy", "/C loop", "busy"),
        *("generator", "busy", "fairness"),
    ),
    _throughput,
)
_TABLES: dict[str, tuple[Sequence[str], _Cells]] = {
    "oneway": _THROUGHPUT,
    "both": _THROUGHPUT,
    "pingpong": (
        ("p50", "/haproxy", "/C loop", "p99", "messages/s", "CPU each", "busy", "generator"),
        _latency,
    ),
    "memory": (("KiB idle", "KiB after 1 MiB each way"), _memory),
}


def _name(group: str, pairs: int, size: int, cores: int) -> str:
    words = [f"{size} B"] if size else [_WORDS[group]] if group in _WORDS else []
    words.append("1 pair" if pairs == 1 else f"{pairs} pairs")
    return ", ".join(words + [f"on {cores} core{'s'[: cores - 1]}"] * bool(cores))


def _tables(results: _Results) -> list[str]:
    texts = []
    for head, cells in dict.fromkeys(_TABLES.values()):
        groups = [group for group, entry in _TABLES.items() if entry == (head, cells)]
        rows = [
            [f"{_name(*where)}: {relay}", *cells(relays, relay)]
            for where, relays in results.items()
            if where[0] in groups
            for relay in relays
        ]
        if rows:
            texts.append(table(["", *head], rows))
    return texts


def _of_other(results: _Results) -> str:
    """The ratios of rdv's figures to those of the other server, if that was measured."""
    figures = {
        "GB/s": "gb_per_second",
        "CPU s/GB": "relay_cpu_per_gb",
        "p50": "p50_us",
        "p99": "p99_us",
        "messages/s": "messages_per_second",
        "KiB idle": "idle_kib",
    }
    rows = [
        [
            _name(*where),
            *(
                _ratio(figure, "other", relays, "rdv") if figure in relays["rdv"] else ""
                for figure in figures.values()
            ),
        ]
        for where, relays in results.items()
        if {"rdv", "other"} <= relays.keys()
    ]
    return table(["rdv, of the other", *figures], rows) if rows else ""


def _aims(results: _Results) -> str:
    rows = []
    for aim in _AIMS:
        relays = results.get(aim.where, {})
        if "rdv" not in relays or (aim.other is not None and aim.other not in relays):
            continue
        value = relays["rdv"][aim.figure]
        if aim.other is not None:
            value /= relays[aim.other][aim.figure]
        met = value >= aim.bound if aim.least else value <= aim.bound
        unit = "x" if aim.other is not None else ""
        rows.append(
            [
                f"{aim.what}, {_name(*aim.where)}",
                f"{'at least' if aim.least else 'at most'} {aim.bound:g}{unit} {aim.other or ''}",
                f"{value:.2f}{unit}",
                "met" if met else "MISSED",
            ]
        )
    return table(["rdv", "aim", "measured", ""], rows) if rows else ""


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """The whole report of the rows, as text."""
    results: dict[tuple[str, int, int, int], dict[str, Mapping[str, float]]] = {}
    for row in rows:
        where = (row["group"], row["pairs"], row["size"], row["cores"])
        results.setdefault(where, {})[row["relay"]] = row["median"]
    return "\n\n".join(filter(None, [*_tables(results), _of_other(results), _aims(results)]))


if __name__ == "__main__":
    everything = json.loads(Path(sys.argv[1]).read_text())
    print(everything["machine"])
    print(report(everything["rows"]))
