"""
What the benchmarks share: programs under test, what the system says of them, and tables.

The benchmarks need Linux: they read ``/proc`` and connect from many addresses of ``127.0.0.0/8``.
"""

from __future__ import annotations

import math
import os
import platform
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from threading import Thread, Timer
from typing import IO, Any

__all__ = [
    "COMMAND",
    "ROOT",
    "Program",
    "allow_files",
    "environment",
    "kill_when_late",
    "listening",
    "machine",
    "of_medians",
    "percentile",
    "table",
    "told_where",
]

ROOT = Path(__file__).resolve().parent.parent

#: What the installed ``rdv`` script does, with the interpreter that runs the benchmark.
COMMAND = (sys.executable, "-c", "import sys; from rdv.commands.cli import main; sys.exit(main())")

#: Seconds after which a program that is waited for is stuck.
_PATIENCE = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """
    A program under test, ended when the ``with`` block ends.

    :param fds: descriptors that it inherits, under the same numbers.
    """

    def __init__(
        self, *argv: str, env: Mapping[str, str] | None = None, fds: Sequence[int] = ()
    ) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env=env,
            cwd=ROOT,
            pass_fds=fds,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        self._pipe(self._process.stdin).write(f"{line}\n")

    def line(self, pattern: str) -> re.Match[str]:
        """
        Read on to the first line in which *pattern* is found.

        :raises RuntimeError: when the program ends before, or takes too long.
        """
        seen = []
        with kill_when_late(self._process):
            for line in self._pipe(self._process.stdout):
                if match := re.search(pattern, line):
                    return match
                seen.append(line)
        raise RuntimeError(f"no {pattern!r} in: {''.join(seen[-20:])}")

    def ignore_output(self) -> None:
        """Read whatever it says from now on, so that it never has to wait for that."""
        Thread(target=self._pipe(self._process.stdout).read, daemon=True).start()

    def keep_output(self) -> list[str]:
        """The same, and keep the lines, in a list that grows by itself."""
        lines: list[str] = []
        Thread(target=lines.extend, args=[self._pipe(self._process.stdout)], daemon=True).start()
        return lines

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, in user and in kernel mode together."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """
        Bytes of memory that it occupies, it and the processes that it has started; what these
        share counts once. What the kernel holds for its sockets is not in it.
        """
        pids = _family(self.pid)
        if len(pids) > 1:
            return sum(_share(pid) for pid in pids)
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def open_files(self, pipes: bool = True) -> int:
        """
        How many descriptors are in use by it and the processes that it has started.

        :param pipes: whether those of pipes count as well.
        """
        links = (link for pid in _family(self.pid) for link in Path(f"/proc/{pid}/fd").iterdir())
        return sum(pipes or not _names_pipe(link) for link in links)


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    family = [pid]
    for member in family:
        family += children.get(member, ())
    return family


def _names_pipe(link: Path) -> bool:
    with suppress(OSError):  # it was closed meanwhile
        return os.readlink(link).startswith("pipe:")
    return False


def _share(pid: int) -> int:
    """Bytes of memory of a process, where what *n* processes share counts one *n*-th."""
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        if match := re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE):
            return int(match[1]) * 1024
    return 0


@contextmanager
def kill_when_late(process: subprocess.Popen[Any]) -> Iterator[None]:
    """No benchmark waits for ever: a program that takes too long is killed."""
    timer = Timer(_PATIENCE, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def listening(*argv: str) -> Iterator[tuple[Program, int]]:
    """A server that says where on 127.0.0.1 it listens, and its port."""
    with Program(*argv) as server:
        yield server, int(server.line(r"LISTENING: .*:(\d+)")[1])


@contextmanager
def told_where(*argv: str) -> Iterator[tuple[Program, int]]:
    """A server that is told at which port of 127.0.0.1 to listen: ``{port}`` in its command."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    with Program(*(each.replace("{port}", str(port)) for each in argv)) as server:
        server.ignore_output()
        late = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > late:
                    raise
                time.sleep(0.05)
        yield server, port


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """
    An environment in which Python finds compiled modules after the first run, as it does when a
    package is installed, whatever our own says and without a file left behind.
    """
    with tempfile.TemporaryDirectory() as folder:
        unwanted = {"PYTHONDONTWRITEBYTECODE"}
        env = {name: value for name, value in os.environ.items() if name not in unwanted}
        yield {**env, "PYTHONPYCACHEPREFIX": folder}


def allow_files(number: int) -> int:
    """
    Raise the limit of open files, for this process and the server that it starts.

    :return: how many clients fit in.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = number + 500
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return number if soft == unlimited else min(number, soft - 500)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def machine() -> str:
    """What a reader has to know of this machine to compare."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, Twisted {version('Twisted')}; "
        f"load before the run {load:.1f}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be; all but the first to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1])] + [text.rjust(width) for text, width in others]
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def of_medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """For each name the median over the runs."""
    return {name: median(run[name] for run in runs) for name in runs[0]}
