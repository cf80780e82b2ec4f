"""
An end-to-end encrypted transfer of a file between two programs, for :mod:`benchmarks.secure`: with
the commands and a secret, and with magic-wormhole and its servers on this host.

Both programs of a pair are run with a small file and with a large one. The results are differences,
so they do not include the time to start, to meet and to end.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import TypeAlias

from benchmarks.common import COMMAND, Program, listening, table
from benchmarks.files import Running, free_port, wait_for_listener
from rdv import Secret

__all__ = ["report_transfers"]

#: Transfers one file to another one; returns the seconds and CPU seconds that it takes.
_Transfer: TypeAlias = Callable[[Path, Path], tuple[float, float]]

_SMALL = 1_000_000


def _timed(receiver: Running, sender: Running, begun: float) -> tuple[float, float]:
    used = sender.ended() + receiver.ended()
    return time.perf_counter() - begun, used


def _rdv(port: int, options: Sequence[str], env: dict[str, str]) -> _Transfer:
    def transfer(source: Path, target: Path) -> tuple[float, float]:
        ours = {**env, "RDV_TOKEN": Secret.generate().reveal()}
        url, null = f"http://127.0.0.1:{port}/rdv", subprocess.DEVNULL
        begun = time.perf_counter()
        with source.open("rb") as stdin, target.open("wb") as stdout:
            receiver = Running([*COMMAND, "accept", *options, url], null, stdout, ours)
            sender = Running([*COMMAND, "dial", *options, url], stdin, null, ours)
            return _timed(receiver, sender, begun)

    return transfer


def _wormhole(
    folder: Path, ports: Sequence[int], options: Sequence[str], env: dict[str, str]
) -> _Transfer:
    mailbox, relay = (f"127.0.0.1:{port}" for port in ports)
    servers = f"--relay-url=ws://{mailbox}/v1", f"--transit-helper=tcp:{relay}"
    command = [str(folder / "wormhole"), *servers]
    ours = {**env, "LC_ALL": "C.UTF-8"}
    numbers = count(1)

    def transfer(source: Path, target: Path) -> tuple[float, float]:
        target.unlink(missing_ok=True)
        code, null = f"{next(numbers)}-one-two", subprocess.DEVNULL
        more = ["--hide-progress", *options]
        receive = [*command, "receive", *more, "--accept-file", "-o", str(target), code]
        send = [*command, "send", *more, "--code", code, str(source)]
        begun = time.perf_counter()
        receiver, sender = (Running(argv, null, null, ours) for argv in (receive, send))
        return _timed(receiver, sender, begun)

    return transfer


@contextmanager
def _wormhole_servers(folder: Path, where: str) -> Iterator[list[int]]:
    """Start a mailbox server and a relay; return their ports."""
    ports = [free_port(), free_port()]
    at = [f"--port=tcp:{port}:interface=127.0.0.1" for port in ports]
    twist = str(folder / "twist")
    mailbox = "wormhole-mailbox", f"--channel-db={where}/mailbox.sqlite"
    with Program(twist, *mailbox, at[0]), Program(twist, "transitrelay", at[1]):
        for port in ports:
            wait_for_listener(port)
        yield ports


def report_transfers(wormhole: Path | None, runs: int, size: int, env: dict[str, str]) -> None:
    """
    :param wormhole: the folder with its programs, and ``twist`` with its servers.
    :param size: the size of the large file in bytes.
    """
    memory = Path("/dev/shm")
    with ExitStack() as stack:
        where = stack.enter_context(
            tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        )
        _, port = stack.enter_context(
            listening(*COMMAND, "serve", "-l", "127.0.0.1:0", "--no-limits")
        )
        transfers = {
            "rdv": _rdv(port, ("--spaces", "loopback"), env),
            "rdv, relay": _rdv(port, ("-r",), env),
        }
        if wormhole is not None:
            ports = stack.enter_context(_wormhole_servers(wormhole, where))
            transfers["wormhole"] = _wormhole(wormhole, ports, (), env)
            transfers["wormhole, relay"] = _wormhole(wormhole, ports, ("--no-listen",), env)
        sources = Path(where, "small"), Path(where, "large")
        for source, length in zip(sources, (_SMALL, size), strict=True):
            source.write_bytes(os.urandom(length))
        _print(transfers, sources, Path(where, "target"), runs)


def _print(
    transfers: dict[str, _Transfer], sources: Sequence[Path], target: Path, runs: int
) -> None:
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in transfers}
    more = sources[1].stat().st_size - sources[0].stat().st_size
    for transfer in transfers.values():  # the first run compiles modules
        transfer(sources[0], target)
    for _ in range(runs):
        for name, transfer in transfers.items():
            (start, least), (took, used) = (_checked(transfer, each, target) for each in sources)
            results[name].append((start, took - start, used - least))
    rows = []
    for name, values in results.items():
        start, took, used = (median(column) for column in zip(*values, strict=True))
        cells = f"{more / took / 1e6:.0f} MB/s", f"{used / more * 1e9:.2f} s", f"{start:.2f} s"
        rows.append([name, *cells])
    print(table(["file to file", "p50", "CPU per GB", "a small file"], rows), flush=True)


def _checked(transfer: _Transfer, source: Path, target: Path) -> tuple[float, float]:
    result = transfer(source, target)
    if target.read_bytes() != source.read_bytes():
        raise RuntimeError(f"{source} did not arrive")
    return result
