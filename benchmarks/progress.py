"""
What does it cost to show the progress of a file?

A file goes from ``rdv dial`` to ``rdv accept``, directly over loopback, as in ``benchmarks.files``:
with stderr a pipe, where nothing is shown; with stderr a terminal, where both show a progress bar;
and with ``--json``. The three alternate, so that changes of the machine's load affect all of them.
CPU is what the sender uses from the connection to its end, including the loading of ``tqdm``, per
GB. Figures are medians. The ratio is the median of the ratios to the run of the same round in which
nothing is shown.

Run it from the checkout, on a quiet machine with two cores or more::

    python -m benchmarks.progress
    python -m benchmarks.progress --megabytes 500 --runs 3

It ends by itself, after about half a minute.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread

from benchmarks.common import COMMAND, ROOT, environment, kill_when_late, listening, machine, table
from benchmarks.files import Files, cpu

_MEGABYTE = 1_000_000
_OPTIONS = ("--spaces", "loopback")
#: The compared ways: whether stderr is a terminal, and further options.
_WAYS: dict[str, tuple[bool, tuple[str, ...]]] = {
    "nothing shown": (False, ()),
    "progress bar": (True, ()),
    "--json": (False, ("--json",)),
}


class Watched:
    """A program, all of whose stderr is read."""

    def __init__(
        self, argv: Sequence[str], stdin: int, stdout: int, terminal: bool, env: dict[str, str]
    ) -> None:
        reader, writer = pty.openpty() if terminal else os.pipe()
        self._process = subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=writer, env=env, cwd=ROOT
        )
        os.close(writer)
        self._connected = Event()
        self._before = 0.0
        self._thread = Thread(target=self._read, args=(reader,))
        self._thread.start()
        self.said = b""

    def _read(self, reader: int) -> None:
        said = b""
        with suppress(OSError):  # a terminal reports its end as an error
            while data := os.read(reader, 1 << 16):
                said += data
                if not self._connected.is_set() and b"connected" in said.lower():
                    self._before = cpu(self._process.pid)
                    self._connected.set()
        os.close(reader)
        self.said = said
        self._connected.set()

    def connected(self) -> None:
        """Wait until it is connected."""
        with kill_when_late(self._process):
            self._connected.wait()

    def ended(self) -> float:
        """
        Wait for its end.

        :return: seconds of CPU.
        """
        with kill_when_late(self._process):
            _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._thread.join()
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args!r}: {self.said.decode()}")
        return usage.ru_utime + usage.ru_stime - self._before


def send(files: Files, way: str, env: dict[str, str]) -> tuple[float, float]:
    """
    One run.

    :return: seconds, and seconds of the sender's CPU.
    """
    terminal, options = _WAYS[way]
    with (
        listening(*COMMAND, "serve", "-l", "127.0.0.1:0", "--no-limits") as (_, port),
        files.source.open("rb") as stdin,
        files.target.open("r+b") as stdout,
        open(os.devnull, "r+b") as null,
    ):
        peer = (*_OPTIONS, *options, f"http://127.0.0.1:{port}/rdv", "progress")
        receiver = Watched(
            [*COMMAND, "accept", *peer], null.fileno(), stdout.fileno(), terminal, env
        )
        sender = Watched([*COMMAND, "dial", *peer], stdin.fileno(), null.fileno(), terminal, env)
        sender.connected()
        receiver.connected()
        begun = time.perf_counter()
        used = sender.ended()
        receiver.ended()
        took = time.perf_counter() - begun
        moved = os.lseek(stdout.fileno(), 0, os.SEEK_CUR)
    if moved != files.size:
        raise RuntimeError(f"{moved} bytes instead of {files.size}")
    for program in (sender, receiver):
        if (b"B/s" in program.said) != terminal:
            raise RuntimeError(f"{way}, but it said {program.said.decode()}")
    return took, used


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a progress bar costs.")
    parser.add_argument("--megabytes", type=int, default=2000, help="of the file (default 2000)")
    parser.add_argument("--runs", type=int, default=5, help="of each (default 5)")
    options = parser.parse_args()
    print(machine(), flush=True)
    memory = Path("/dev/shm")
    results: dict[str, list[tuple[float, float]]] = {way: [] for way in _WAYS}
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        environment() as env,
    ):
        files = Files(Path(folder, "source"), Path(folder, "target"), options.megabytes * _MEGABYTE)
        with files.source.open("wb") as source, files.target.open("wb") as target:
            for _ in range(options.megabytes):
                source.write(os.urandom(_MEGABYTE))
                target.write(bytes(_MEGABYTE))
        for _ in range(options.runs):
            for way, each in results.items():
                each.append(send(files, way, {**env, "TERM": "xterm"}))
    rows = []
    plain = results["nothing shown"]
    for way, each in results.items():
        took, used = (median(column) for column in zip(*each, strict=True))
        speed = files.size / took / _MEGABYTE
        cost = used / (files.size / 1e9)
        ratio = median(one[0] / other[0] for one, other in zip(plain, each, strict=True))
        rows.append([way, f"{speed:.0f}", f"{ratio:.3f}", f"{cost:.3f} s"])
    print(table(["", "MB/s", "ratio", "sender's CPU, per GB"], rows))


if __name__ == "__main__":
    main()
