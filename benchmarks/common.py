"""
Shared by the benchmarks: programs under test, measurements of processes, and tables.

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

#: The same as the installed ``rdv`` script, with the interpreter that runs the benchmark.
COMMAND = (sys.executable, "-c", "import sys; from rdv.commands.cli import main; sys.exit(main())")

#: Seconds after which a program counts as stuck.
_PATIENCE = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """
    A program under test, terminated at the end of the ``with`` block.

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
        Read up to the first line in which *pattern* is found.

        :raises RuntimeError: when the program ends before that, or takes too long.
        """
        seen = []
        with kill_when_late(self._process):
            for line in self._pipe(self._process.stdout):
                if match := re.search(pattern, line):
                    return match
                seen.append(line)
        raise RuntimeError(f"no {pattern!r} in: {''.join(seen[-20:])}")

    def ignore_output(self) -> None:
        """Read and drop its further output, so that it never blocks."""
        Thread(target=self._pipe(self._process.stdout).read, daemon=True).start()

    def keep_output(self) -> list[str]:
        """Like :meth:`ignore_output`, but collect the lines in the returned list as they arrive."""
        lines: list[str] = []
        Thread(target=lines.extend, args=[self._pipe(self._process.stdout)], daemon=True).start()
        return lines

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, in user and kernel mode."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """
        Bytes of memory that the program and its descendants occupy; shared memory counts once.
        Kernel memory for its sockets is not included.
        """
        pids = _family(self.pid)
        if len(pids) > 1:
            return sum(_share(pid) for pid in pids)
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def open_files(self, pipes: bool = True) -> int:
        """
        The number of descriptors in use by the program and its descendants.

        :param pipes: whether pipes count as well.
        """
        links = (link for pid in _family(self.pid) for link in Path(f"/proc/{pid}/fd").iterdir())
        return sum(pipes or not _names_pipe(link) for link in links)


def _family(pid: int) -> list[int]:
    """A process and all its descendants."""
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
    """Bytes of memory of a process; memory shared by *n* processes counts as one *n*-th."""
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        if match := re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE):
            return int(match[1]) * 1024
    return 0


@contextmanager
def kill_when_late(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill a program that takes too long, so that no benchmark waits forever."""
    timer = Timer(_PATIENCE, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def listening(*argv: str) -> Iterator[tuple[Program, int]]:
    """A server that reports where on 127.0.0.1 it listens, and its port."""
    with Program(*argv) as server:
        yield server, int(server.line(r"LISTENING: .*:(\d+)")[1])


@contextmanager
def told_where(*argv: str) -> Iterator[tuple[Program, int]]:
    """A server whose command contains ``{port}``, the port of 127.0.0.1 on which it must listen."""
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
    An environment in which Python finds compiled modules after the first run, as in an installed
    package, whatever the current environment says. No files are left behind.
    """
    with tempfile.TemporaryDirectory() as folder:
        unwanted = {"PYTHONDONTWRITEBYTECODE"}
        env = {name: value for name, value in os.environ.items() if name not in unwanted}
        yield {**env, "PYTHONPYCACHEPREFIX": folder}


def allow_files(number: int) -> int:
    """
    Raise the limit on open files for this process and the server that it starts.

    :return: the number of clients that is possible.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = number + 500
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return number if soft == unlimited else min(number, soft - 500)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that *percent* percent of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def machine() -> str:
    """The facts about this machine that a reader needs for comparisons."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, Twisted {version('Twisted')}; "
        f"load before the run {load:.1f}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of minimal width, all but the first right-aligned."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1])] + [text.rjust(width) for text, width in others]
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def of_medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median over the runs for each name."""
    return {name: median(run[name] for run in runs) for name in runs[0]}
