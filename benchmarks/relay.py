"""
What does the relay cost, and how fast is it, compared with the alternatives?

Each relay in turn gets the same load, from ``benchmarks/load.c``: *rdv* (``rdv serve``), *haproxy*
in TCP mode with splicing, *transit* (magic-wormhole-transit-relay), *socat*, and the *C loop*,
which is ``benchmarks/splice.c``: the performance of the plain kernel interface. Each has one
thread, except socat, which forks for every pair and is omitted where that would be too many.
*limited*, which is optional, is rdv with bandwidth limits that are never reached; *other* is
another server of rdv/1, whose command is given with ``--other``.

``GB/s`` is what arrived, in both directions together; 1 GB is 10^9 bytes. ``CPU s/GB`` is the user
and system time of the relay for that, and ``generator`` that of the load generator; the two share
the machine. ``busy`` is the same as a share of the elapsed time: a program at 100 % is the
bottleneck, and if that is the generator, the relay could do more. ``fairness`` is the throughput of
the slowest pair, divided by the mean.

``p50`` and ``p99`` are for the time from a message to its answer, which takes two trips through the
relay, in two settings: with generator and relay on one core, where it is mostly computation, and on
one core each, where it is mostly the wake-up of a core. Without such a setting the scheduler
changes between the two, and results would not be comparable. A round of a pair consists of two
messages.

``KiB`` is the growth of the relay's resident memory for each pair; kernel memory for its sockets
and pipes is not included.

It needs Linux, a C compiler, haproxy, socat and, in an environment of its own, the PyPI package
magic-wormhole-transit-relay. Run it from the checkout, on a quiet machine with two cores or more::

    python -m benchmarks.relay --transit-python venv/bin/python
    python -m benchmarks.relay --quick --only rdv "C loop" oneway
    python -m benchmarks.relay --congestion cubic

The last one is for a system whose default is BBR, which paces even over loopback.

It ends by itself, after about half an hour, or about one minute with ``--quick``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from benchmarks.common import allow_files, machine, of_medians
from benchmarks.namespace import run_inside
from benchmarks.relay_report import report
from benchmarks.relays import RELAYS, Running, Tools, build, missing

#: socat has a process for every pair.
_MOST_FORKS = 100
#: MiB each way through a pair whose memory is measured.
_TRAFFIC = 1


@dataclass(frozen=True)
class Case:
    """
    A row for each relay.

    :ivar size: bytes of a message, for ping-pong.
    :ivar cores: 1 if generator and relay share a core, 2 if each has its own, 0 for no setting.
    :ivar copies: whether the generator copies what it receives.
    """

    group: str
    pairs: int
    size: int = 0
    cores: int = 0
    copies: bool = False

    def measure(self, running: Running, seconds: float) -> dict[str, float]:
        """One run."""
        if self.group == "memory":
            return _memory(running, self.pairs)
        # Buffers of a thousand pairs take time to fill, and a virtual machine takes time to
        # allocate memory.
        many = self.pairs >= 1000
        warmup, seconds = (4.0, 1.5 * seconds) if many else (seconds / 3, seconds)
        times = ("--warmup", f"{warmup:.1f}", "--seconds", f"{seconds:.1f}")
        size = ("--size", str(self.size)) if self.size else ()
        receive = ("--receive", "copy") if self.copies else ()
        pairs = ("--pairs", str(self.pairs))
        return running.load("--mode", self.group, *pairs, *times, *size, *receive)


CASES = (
    *(Case("oneway", pairs) for pairs in (1, 10, 100, 1000)),
    *(Case("both", pairs) for pairs in (1, 100)),
    *(
        Case("pingpong", pairs, size, cores)
        for size in (64, 4096)
        for pairs in (1, 50)
        for cores in (1, 2)
    ),
    Case("memory", 100),
    Case("memory", 1000),
)
#: The cores of the generator and of the relay for each value of :attr:`Case.cores`.
_CORES = {0: None, 1: (0, 0), 2: (0, 1)}


def _memory(running: Running, pairs: int) -> dict[str, float]:
    """By how many KiB each pair makes the relay grow, idle and after traffic."""
    # One-time allocations should not count.
    running.load("--mode", "idle", "--pairs", "10", "--mib", str(_TRAFFIC))
    before = running.program.resident()
    mib = ("--mib", str(_TRAFFIC))
    with running.holding("--mode", "idle", "--pairs", str(pairs), *mib) as generator:
        generator.line("^ready$")
        idle = running.program.resident() - before
        generator.tell("push")
        generator.line("^done$")
        used = running.program.resident() - before
        generator.tell("end")
        generator.line("^{")  # no pair was lost
    return {"idle_kib": idle / pairs / 1024, "used_kib": used / pairs / 1024}


def measure(
    cases: Sequence[Case], relays: Sequence[str], tools: Tools, runs: int, seconds: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """
    All runs, alternating, so that changes of the machine's load affect all of them.

    :return: a row for each case and relay, and the errors.
    """
    found: dict[tuple[Case, str], list[dict[str, float]]] = {}
    failures = []
    for run in range(runs):
        for case in cases:
            cores = _CORES[case.cores] or tools.cores
            for relay in relays:
                if relay == "socat" and case.pairs > _MOST_FORKS:
                    continue
                about = f"run {run + 1} of {runs}: {relay}: {case}"
                sys.stderr.write(f"{about}\n")
                try:
                    with RELAYS[relay](replace(tools, cores=cores)) as running:
                        result = case.measure(running, seconds)
                except (RuntimeError, TimeoutExpired) as error:
                    failures.append(f"{about}: {error}")
                else:
                    found.setdefault((case, relay), []).append(result)
    rows = [
        {**asdict(case), "relay": relay, "median": of_medians(results), "runs": results}
        for (case, relay), results in found.items()
    ]
    return rows, failures


def _is_extra(case: Case) -> bool:
    return case.pairs == 10 or case.size == 4096 or case == Case("memory", 100)


def _options() -> argparse.Namespace:
    groups = list(dict.fromkeys(case.group for case in CASES))
    names = [*RELAYS, *groups]
    parser = argparse.ArgumentParser(description="The relay beside others.")
    parser.add_argument("--runs", type=int, default=5, help="the median counts (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run (default 3)")
    parser.add_argument("--quick", action="store_true", help="one run of a second, fewer rows")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=[], metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--pairs", type=int, nargs="+", default=[], help="only rows with so many")
    parser.add_argument(
        "--copying",
        action="store_true",
        help="receivers copy what they get, which a real one does, instead of throwing it away",
    )
    parser.add_argument(
        "--pin", action="store_true", help="generator on core 0, relay on core 1 in all rows"
    )
    parser.add_argument(
        "--congestion",
        metavar="NAME",
        help="in a network namespace whose loopback has this congestion control (root)",
    )
    parser.add_argument("--transit-python", default=sys.executable, metavar="PROGRAM")
    parser.add_argument(
        "--other",
        type=shlex.split,
        default=[],
        metavar="COMMAND",
        help="of another server of rdv/1; it has {port}",
    )
    parser.add_argument("--json", metavar="FILE", help="write every run there")
    options = parser.parse_args()
    unasked = {"limited", *(() if options.other else ("other",))}
    everybody = [name for name in RELAYS if name not in unasked]
    options.relays = [name for name in RELAYS if name in options.only] or everybody
    chosen = [name for name in groups if name in options.only] or groups
    options.cases = [
        replace(case, copies=options.copying)
        for case in CASES
        if case.group in chosen
        and (not options.pairs or case.pairs in options.pairs)
        and not (options.quick and _is_extra(case))
    ]
    if options.quick:
        options.runs, options.seconds = 1, min(options.seconds, 1.0)
    return options


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.congestion:
        status = run_inside("benchmarks.relay", sys.argv[1:], options.congestion)
        if status is not None:
            sys.exit(status)
    allow_files(10_000)
    about = machine() + ("; pinned" if options.pin else "")
    if options.congestion:
        about += f"; {options.congestion} on loopback, in a network namespace"
    print(about, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cores = _CORES[2] if options.pin else None
        tools = Tools(Path(folder), options.transit_python, cores, tuple(options.other))
        build(tools.folder)
        relays = []
        for name in options.relays:
            if reason := missing(name, tools):
                print(f"left out: {name}: {reason}", flush=True)
            else:
                relays.append(name)
        with tools.backend:
            rows, failures = measure(options.cases, relays, tools, options.runs, options.seconds)
    if options.json:
        everything = {
            "machine": about,
            "pinned": options.pin,
            "runs": options.runs,
            "seconds": options.seconds,
            "rows": rows,
            "failures": failures,
        }
        Path(options.json).write_text(json.dumps(everything, indent=1) + "\n")
    print(report(rows))
    if failures:
        sys.exit("\n".join(["", "failed:", *failures]))


if __name__ == "__main__":
    main()
