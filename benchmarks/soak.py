"""
Is a server after ten minutes in the same state as after two?

For each number of workers, there is a real ``rdv serve`` on 127.0.0.1, all at the same time, with
the default limits per address and signed tokens. Guests of many kinds connect and leave
(``guests.py``): pairs that find a direct path, relayed ones whose bytes are all checked, readers
that stall, clients that leave, are reset, replaced, refused, or wait in vain, incomplete heads,
bodies, wrong lines, health checks, and an address that floods. Every five seconds the server gets a
SIGHUP.

At the end all have left, and the server must be in the same state as at the start: no waiting
clients, no pairs, the same number of open descriptors, and the same counts of pairs as the guests
have. Its memory must not have grown by more than five percent since the warm-up, which is the first
fifth (if it ran for at least a minute), and no guest may have got a wrong byte, answer or end.
Otherwise the exit status is 1. ::

    python -m benchmarks.soak
    python -m benchmarks.soak --seconds 60 --workers 2
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import COMMAND, Program, listening, machine, table
from benchmarks.guests import BEHAVIOURS, House, Wrong

__all__: list[str] = []

#: The maximum growth of memory in percent after the warm-up, and the warm-up's share of the time.
_GROWTH = 5.0
_WARM_UP = 0.2
#: Seconds after which a server should not need more memory.
_LONG = 60.0
#: Seconds between two SIGHUPs, and between two samples.
_RELOADS = 5.0
_LOOKS = 1.0
#: Seconds within which a server must be rid of all clients.
_CLEARING = 30.0
#: The number of rows in the table.
_ROWS = 10
_OUTCOMES = ("direct", "relayed", "failed", "abandoned")


@dataclass(frozen=True)
class Look:
    """
    The state of a server at a moment.

    :ivar files: without pipes, because it keeps some that are empty.
    """

    at: float
    resident: int
    files: int
    status: dict[str, Any]

    @property
    def waiting(self) -> int:
        return sum(self.status["waiting"].values())

    @property
    def pairs(self) -> int:
        return sum(self.status["pairs"].values())

    @property
    def ended(self) -> int:
        return sum(self.status["outcomes"].values())

    @property
    def cells(self) -> list[str]:
        relayed = sum(self.status["relayed_bytes"].values())
        refused = sum(self.status["refusals"].values())
        hits = sum(self.status["limit_hits"].values())
        numbers = (self.files, self.waiting, self.pairs, self.ended, relayed >> 20, refused, hits)
        return [f"{self.at:.0f} s", f"{self.resident / (1 << 20):.2f} MiB", *map(str, numbers)]


class Soak:
    """One server and its guests."""

    def __init__(self, server: Program, house: House, seconds: float) -> None:
        self._server = server
        self._house = house
        self._seconds = seconds
        self._begun = self._until = 0.0
        self._said = server.keep_output()
        self.wrong: list[str] = []
        self.looks: list[Look] = []

    async def run(self) -> None:
        """Run until the time is over and all have left."""
        self._begun = time.monotonic()
        self._until = self._begun + self._seconds
        start = await self._look()
        await asyncio.gather(
            *(self._visits(kind) for kind in BEHAVIOURS), self._reloads(), self._watches()
        )
        end = await self._clears(start.files)
        self._check(start, end)

    def _is_over(self) -> bool:
        return time.monotonic() >= self._until

    async def _visits(self, kind: str) -> None:
        """Start the visits of one behaviour, which overlap."""
        there: set[asyncio.Task[None]] = set()
        while not self._is_over():
            task = asyncio.ensure_future(self._visit(kind))
            there.add(task)
            task.add_done_callback(there.discard)
            await asyncio.sleep(BEHAVIOURS[kind][1])
        await asyncio.gather(*there)

    async def _visit(self, kind: str) -> None:
        try:
            await BEHAVIOURS[kind][0](self._house)
            self._house.seen[kind] += 1
        except (Wrong, OSError, EOFError, TimeoutError) as error:
            self.wrong.append(f"{kind}: {type(error).__name__}: {error}")

    async def _reloads(self) -> None:
        while not self._is_over():
            await asyncio.sleep(min(_RELOADS, max(0.1, self._until - time.monotonic())))
            os.kill(self._server.pid, signal.SIGHUP)

    async def _watches(self) -> None:
        while not self._is_over():
            self.looks.append(await self._look())
            await asyncio.sleep(_LOOKS)

    async def _look(self) -> Look:
        status = await self._house.status()
        at = time.monotonic() - self._begun
        return Look(at, self._server.resident(), self._server.open_files(pipes=False), status)

    async def _clears(self, files: int) -> Look:
        """
        The state when all clients have left, or when the time for that is over.

        :param files: the number of open files that is expected then.
        """
        late = time.monotonic() + _CLEARING
        while True:
            look = await self._look()
            is_clear = look.waiting == look.pairs == 0 and look.files <= files
            if is_clear or time.monotonic() > late:
                self.looks.append(look)
                return look
            await asyncio.sleep(0.5)

    def _check(self, start: Look, end: Look) -> None:
        for name, found in (("waiting", end.waiting), ("in pairs", end.pairs)):
            if found:
                self.wrong.append(f"{found} clients are {name} when nobody is there")
        if end.files > start.files:
            self.wrong.append(f"{end.files} descriptors are open, at the start {start.files}")
        for outcome in _OUTCOMES:
            counted, seen = end.status["outcomes"][outcome], self._house.seen[f"ended {outcome}"]
            if counted != seen:
                self.wrong.append(f"{counted} pairs are counted as {outcome}, not {seen}")
        if end.status["worker_restarts"]:
            self.wrong.append("a worker has died")
        if self._seconds >= _LONG and self.growth > _GROWTH:
            self.wrong.append(f"memory has grown by {self.growth:.1f} % since the warm-up")
        self.wrong += [line.strip() for line in self._said if "rror" in line or "Trace" in line]

    @property
    def growth(self) -> float:
        """
        Growth of memory in percent: from the median of the fifth after the warm-up to the last one.
        """
        looks = self.looks[:-1]
        fifth = max(1, int(len(looks) * _WARM_UP))
        first, last = looks[fifth : 2 * fifth] or looks, looks[-fifth:]
        before = median(look.resident for look in first)
        return (median(look.resident for look in last) / before - 1) * 100

    def _cpu(self) -> float:
        return sum(float(each["cpu_seconds"]) for each in self.looks[-1].status["workers"])

    def report(self) -> str:
        """Some of the samples, and the findings."""
        step = max(1, len(self.looks) // _ROWS)
        looks = [*self.looks[:-1:step], self.looks[-1]]
        head = ["at", "memory", "descriptors", "waiting", "pairs", "ended", "MiB", "refused"]
        seen = ", ".join(f"{kind} {number}" for kind, number in self._house.seen.items())
        return (
            f"{table([*head, 'limits hit'], [look.cells for look in looks])}\n\n"
            f"memory since the warm-up: {self.growth:+.2f} %; server CPU {self._cpu():.1f} s\n"
            f"seen: {seen}\n"
        )


async def _soak(stack: ExitStack, workers: Sequence[int], seconds: float) -> bool:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    key = secrets.token_hex(32).encode()
    key_file = folder / "token.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(key)
    soaks = []
    for number in workers:
        admin = str(folder / f"admin{number}.sock")
        server, port = stack.enter_context(
            listening(
                *(*COMMAND, "serve", "-l", "127.0.0.1:0", "--workers", str(number)),
                *("--admin", f"unix:{admin}", "--token-key", str(key_file)),
                *("--lobby-timeout", "5", "--idle-timeout", "60"),
            )
        )
        soaks.append(Soak(server, House(port, admin, key), seconds))
    await asyncio.gather(*(soak.run() for soak in soaks))
    for number, soak in zip(workers, soaks, strict=True):
        print(f"--workers {number}\n\n{soak.report()}")
        for line in soak.wrong[:20]:
            print(f"WRONG: {line}")
        print(f"{len(soak.wrong)} wrong\n", flush=True)
    return not any(soak.wrong for soak in soaks)


def main() -> None:
    """Run, print, and end with status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Is a server the same after ten minutes?")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="one server each (default 1 2)"
    )
    options = parser.parse_args()
    print(machine(), end="\n\n", flush=True)
    with ExitStack() as stack:
        if not asyncio.run(_soak(stack, options.workers, options.seconds)):
            sys.exit(1)


if __name__ == "__main__":
    main()
