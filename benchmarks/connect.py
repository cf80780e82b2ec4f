"""
How long does it take to connect?

Dialler, acceptor and server are three processes on this host, and the acceptor is already waiting.

``Client.dial``: from the call until the connection exists, in a process that has dialled before;
directly over loopback, and through the relay, with no address space allowed. ``first`` is the first
dial in the process.

Programs: from start to exit, with compiled modules, as in an installed package. ``rdv dial`` has an
empty stdin, so it ends when it has connected and both sides have reported that they are done.
``python -c pass`` is the minimum for any Python program here, for comparison.

Run it from the checkout, on a quiet machine with two cores or more::

    python -m benchmarks.connect
    python -m benchmarks.connect --dials 50 --starts 5

It ends by itself, after about half a minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.common import (
    COMMAND,
    ROOT,
    Program,
    environment,
    kill_when_late,
    machine,
    percentile,
    table,
)
from benchmarks.peers import SPACES
from rdv.addresses import AddressSpace
from rdv.client import Client

_PATHS = {"direct": SPACES, "relay": AddressSpace.NONE}


class OtherSide:
    """A server and an acceptor."""

    def __init__(self, server: Program, acceptor: Program, url: str) -> None:
        self._server = server
        self._acceptor = acceptor
        self._dials = 0
        self.url = url

    def wait(self, path: str) -> str:
        """
        Let the acceptor wait.

        :return: the token.
        """
        self._dials += 1
        token = f"connect-{self._dials}"
        self._acceptor.tell(f"{path} {token}")
        self._server.tell("?")
        self._server.line("^waiting$")
        return token


@contextmanager
def other_side(env: dict[str, str]) -> Iterator[OtherSide]:
    """Start the other programs."""
    peers = (sys.executable, "-m", "benchmarks.peers")
    with Program(*peers, "server", env=env) as server:
        url = f"http://{server.line('LISTENING: (.*)')[1]}/rdv"
        with Program(*peers, "acceptor", url, env=env) as acceptor:
            acceptor.line("ready")
            yield OtherSide(server, acceptor, url)


async def dial(reactor: Any, other: OtherSide, path: str, number: int) -> list[str]:
    """Time dials in this process."""
    client = Client(reactor, spaces=_PATHS[path])
    walls, cpus = [], []
    for _ in range(number + 1):
        token = other.wait(path)
        wall, cpu = time.perf_counter(), time.process_time()
        connection = await client.dial(other.url, token)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if connection.is_relay != (path == "relay"):
            raise RuntimeError(f"connected to {connection.peer_address}, not {path}")
        connection.loseConnection()
        await deferLater(reactor, 0.0)
    return _row(f"Client.dial, {path}", walls[1:], cpus[1:], f"{walls[0] * 1e3:.1f} ms")


def start(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """
    Run a program until it exits.

    :return: its duration, and its CPU time, in seconds.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=env,
        cwd=ROOT,
    )
    with kill_when_late(process):
        _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    with process.stderr as stderr:
        if process.returncode:
            raise RuntimeError(f"{argv}: {stderr.read().decode()}")
    return took, usage.ru_utime + usage.ru_stime


def starts(other: OtherSide, env: dict[str, str], number: int) -> list[list[str]]:
    """Time programs, alternating, so that changes of the machine's load affect all of them."""
    python = [sys.executable, "-c"]
    spaces = str(SPACES.name).lower()
    programs: dict[str, Callable[[], list[str]]] = {
        "python -c pass": lambda: [*python, "pass"],
        "rdv --help": lambda: [*COMMAND, "--help"],
        "import what rdv dial needs": lambda: [
            *python,
            "from rdv.commands import arguments, cli, loading;"
            f"loading.load(arguments.parse(['dial', '{other.url}', 'token']))",
        ],
        "rdv dial, direct": lambda: [
            *COMMAND,
            *("dial", "--spaces", spaces, other.url, other.wait("direct")),
        ],
        "rdv dial, relay": lambda: [*COMMAND, "-r", "dial", other.url, other.wait("relay")],
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(number + 1):  # the first one compiles modules
        for name, argv in programs.items():
            runs[name].append(start(argv(), env))
    return [
        _row(name, [wall for wall, _ in times[1:]], [cpu for _, cpu in times[1:]])
        for name, times in runs.items()
    ]


def _row(name: str, walls: list[float], cpus: list[float], first: str = "") -> list[str]:
    times = [percentile(walls, 50), percentile(walls, 99), percentile(cpus, 50)]
    return [name, *(f"{seconds * 1e3:.1f} ms" for seconds in times), first]


async def _measure(reactor: Any, dials: int, number: int) -> None:
    with environment() as env, other_side(env) as other:
        rows = [await dial(reactor, other, path, dials) for path in _PATHS]
        rows += starts(other, env, number)
    print(table(["", "p50", "p99", "own CPU p50", "first"], rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How long it takes to get a connection.")
    parser.add_argument("--dials", type=int, default=300, help="in process (default 300)")
    parser.add_argument("--starts", type=int, default=20, help="of each program (default 20)")
    options = parser.parse_args()
    print(machine(), flush=True)
    react(lambda reactor: Deferred.fromCoroutine(_measure(reactor, options.dials, options.starts)))


if __name__ == "__main__":
    main()
