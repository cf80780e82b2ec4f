"""
How fast do the commands transfer a file, or a pipe?

``rdv dial`` has the file as its stdin, or a pipe from ``cat``; ``rdv accept`` has another file as
its stdout, or a pipe to ``cat >/dev/null``. The time is measured from the moment when both have
reported that they are connected until both have ended; CPU is what the two use in that time, in
user and kernel mode, per GB, and what the relay uses. The CPU of the two ``cat`` is not included,
although they share the cores.

``socat`` does the same with plain TCP and buffers of 256 KiB, which are best for it; with
``relay``, a third ``socat`` is between the two. Files are in memory, if there is a ``/dev/shm``.
The target file has its full size before, because the time to allocate memory depends on earlier
runs.

Run it from the checkout, on a quiet machine with two cores or more and with ``socat``::

    python -m benchmarks.files
    python -m benchmarks.files --megabytes 256 --runs 1
    python -m benchmarks.files --congestion cubic

The last one is for a system whose default is BBR, which paces even over loopback.

It ends by itself, after about a minute.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

from benchmarks.common import COMMAND, ROOT, environment, kill_when_late, listening, machine, table
from benchmarks.namespace import run_inside

_MEGABYTE = 1_000_000
_SOCAT = ("socat", "-u", "-b", "262144")
#: The kinds of stdin and stdout.
_KINDS = (("file", "file"), ("file", "pipe"), ("pipe", "file"), ("pipe", "pipe"))


class Result(NamedTuple):
    """One run: seconds, and seconds of CPU."""

    wall: float
    sender: float
    receiver: float
    relay: float = 0.0


class Running:
    """A program between a stdin and a stdout, timed."""

    def __init__(self, argv: Sequence[str], stdin: Any, stdout: Any, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT
        )
        self._before = 0.0

    def connected(self) -> None:
        """Wait until it reports a connection; measure from then on."""
        assert self._process.stderr is not None
        seen = ""
        with kill_when_late(self._process):
            while line := self._process.stderr.readline():
                if line.startswith("CONNECTED"):
                    self._before = cpu(self._process.pid)
                    return
                seen += line
        raise RuntimeError(f"{self._process.args!r}: {seen}")

    def ended(self) -> float:
        """
        Wait for its end.

        :return: seconds of CPU.
        """
        assert self._process.stderr is not None
        with kill_when_late(self._process), self._process.stderr as stderr:
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            if self._process.returncode:
                raise RuntimeError(f"{self._process.args!r}: {stderr.read()}")
        return usage.ru_utime + usage.ru_stime - self._before


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads together."""
    nanoseconds = [
        int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    return sum(nanoseconds) / 1e9


@contextmanager
def source(kind: str, path: Path) -> Iterator[IO[bytes]]:
    """Open a stdin."""
    if kind == "file":
        with path.open("rb") as file:
            yield file
        return
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        yield cat.stdout


@contextmanager
def target(kind: str, files: Files) -> Iterator[int]:
    """
    Open a stdout. At the end of the block, everything written there has been read.

    :raises RuntimeError: when bytes are missing.
    """
    if kind == "file":
        with files.target.open("r+b") as file:
            yield file.fileno()
            size = file.seek(0, os.SEEK_CUR)
    else:
        null = subprocess.DEVNULL
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=null) as cat:
            assert cat.stdin is not None
            with cat.stdin:
                yield cat.stdin.fileno()
        return
    if size != files.size:
        raise RuntimeError(f"{size} bytes instead of {files.size}")


class Files(NamedTuple):
    """The source and the target of the bytes."""

    source: Path
    target: Path
    size: int


def rdv(files: Files, kinds: tuple[str, str], relay: bool, env: dict[str, str]) -> Result:
    """One run of the commands."""
    options = ("-r",) if relay else ("--spaces", "loopback")
    with (
        listening(*COMMAND, "serve", "-l", "127.0.0.1:0", "--no-limits") as (server, port),
        source(kinds[0], files.source) as stdin,
        target(kinds[1], files) as stdout,
        open(os.devnull) as null,
    ):
        url = f"http://127.0.0.1:{port}/rdv"
        receiver = Running([*COMMAND, "accept", *options, url, "files"], null, stdout, env)
        sender = Running([*COMMAND, "dial", *options, url, "files"], stdin, subprocess.DEVNULL, env)
        sender.connected()
        receiver.connected()
        before = cpu(server.pid)
        begun = time.perf_counter()
        times = sender.ended(), receiver.ended()
        return Result(time.perf_counter() - begun, *times, cpu(server.pid) - before)


def socat(files: Files, kinds: tuple[str, str], relay: bool, env: dict[str, str]) -> Result:
    """One run of socat."""
    with (
        source(kinds[0], files.source) as stdin,
        target(kinds[1], files) as stdout,
        open(os.devnull) as null,
        ExitStack() as stack,
    ):
        ports = [free_port() for _ in range(2 if relay else 1)]
        addresses = [f"TCP-LISTEN:{port},reuseaddr,bind=127.0.0.1" for port in ports]
        receiver = Running([*_SOCAT, addresses[-1], "-"], null, stdout, env)
        wait_for_listener(ports[-1])
        between = None
        if relay:
            argv = [*_SOCAT, addresses[0], f"TCP:127.0.0.1:{ports[1]}"]
            between = Running(argv, null, stack.enter_context(open(os.devnull, "w")), env)
            wait_for_listener(ports[0])
        begun = time.perf_counter()
        argv = [*_SOCAT, "-", f"TCP:127.0.0.1:{ports[0]}"]
        sender = Running(argv, stdin, subprocess.DEVNULL, env)
        times = sender.ended(), receiver.ended()
        return Result(time.perf_counter() - begun, *times, between.ended() if between else 0.0)


def free_port() -> int:
    """A port on which no program listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_listener(port: int) -> None:
    """Wait for socat, which does not report that it listens, and takes only one connection."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    until = time.monotonic() + 10
    while wanted not in Path("/proc/net/tcp").read_text():
        if time.monotonic() > until:
            raise RuntimeError(f"nobody listens to port {port}")
        time.sleep(0.001)


def measure(files: Files, runs: int, env: dict[str, str]) -> list[list[str]]:
    """All rows. The programs alternate, so that changes of the machine's load affect both."""
    programs: dict[str, Callable[[Files, tuple[str, str], bool, dict[str, str]], Result]]
    programs = {"rdv": rdv, "socat": socat}
    rows = []
    for relay in (False, True):
        for kinds in _KINDS:
            results: dict[str, list[Result]] = {name: [] for name in programs}
            for _ in range(runs):
                for name, run in programs.items():
                    results[name].append(run(files, kinds, relay, env))
            for name, each in results.items():
                path = "relay" if relay else "direct"
                rows.append(
                    [f"{name}, {path}, {kinds[0]} to {kinds[1]}", *_cells(each, files.size)]
                )
    return rows


def _cells(results: list[Result], size: int) -> list[str]:
    wall, sender, receiver, relay = (median(column) for column in zip(*results, strict=True))
    gigabytes = size / 1e9
    cells = [f"{size / wall / _MEGABYTE:.0f}"]
    cells += [f"{seconds / gigabytes:.2f} s" for seconds in (sender, receiver)]
    return [*cells, f"{relay / gigabytes:.2f} s" if relay >= 0.005 else ""]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast a file goes through the commands.")
    parser.add_argument("--megabytes", type=int, default=1000, help="of the file (default 1000)")
    parser.add_argument("--runs", type=int, default=3, help="of each (default 3)")
    parser.add_argument(
        "--congestion",
        metavar="NAME",
        help="in a network namespace whose loopback has this congestion control (root)",
    )
    options = parser.parse_args()
    about = machine()
    if options.congestion:
        status = run_inside("benchmarks.files", sys.argv[1:], options.congestion)
        if status is not None:
            sys.exit(status)
        about += f"; {options.congestion} on loopback, in a network namespace"
    print(about, flush=True)
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        environment() as env,
    ):
        files = Files(Path(folder, "source"), Path(folder, "target"), options.megabytes * _MEGABYTE)
        with files.source.open("wb") as file, files.target.open("wb") as other:
            for _ in range(options.megabytes):
                file.write(os.urandom(_MEGABYTE))
                other.write(bytes(_MEGABYTE))
        rows = measure(files, options.runs, env)
    print(table(["", "MB/s", "sender, per GB", "receiver, per GB", "relay, per GB"], rows))


if __name__ == "__main__":
    main()
