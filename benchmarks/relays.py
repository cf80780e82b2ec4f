"""
The relays that ``benchmarks/relay.py`` compares, and the load generator that drives them.

Each relay is started anew for a measurement, on a free port of 127.0.0.1. Those without a concept
of pairs connect to a backend for every connection that they accept; the load generator is that
backend, on a listening socket that it inherits.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import COMMAND, ROOT, Program, told_where

__all__ = ["RELAYS", "Running", "Tools", "build", "missing", "rdv"]

#: Where Debian installs programs for administrators.
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
#: Seconds after which a run of the load generator counts as stuck: far more than any takes.
_PATIENCE = 120.0

_HAPROXY = """
global
  nbthread 1
  maxconn 2200
  maxpipes 4400
defaults
  mode tcp
  option splice-auto
  backlog 4096
  timeout connect 10s
  timeout client 600s
  timeout server 600s
frontend clients
  bind fd@{listener}
  default_backend generator
backend generator
  server load 127.0.0.1:{backend}
"""


@dataclass(frozen=True)
class Tools:
    """
    Shared by the measurements.

    :ivar folder: contains the compiled programs, and has room for files.
    :ivar transit_python: an interpreter that has magic-wormhole-transit-relay.
    :ivar cores: the cores of the generator and of the relay; None for any.
    :ivar other: the command of another server of rdv/1, which contains ``{port}``.
    """

    folder: Path
    transit_python: str = sys.executable
    cores: tuple[int, int] | None = None
    other: tuple[str, ...] = ()
    backend: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=4096)
    )

    @property
    def backend_port(self) -> int:
        """The port to which relays connect."""
        port: int = self.backend.getsockname()[1]
        return port

    def relay(self, *argv: str, fds: Sequence[int] = ()) -> Program:
        """Start a relay."""
        return Program(*_on(self.cores and self.cores[1], argv), fds=fds)

    def generator(self, *arguments: str) -> tuple[str, ...]:
        """The command of the load generator."""
        return _on(self.cores and self.cores[0], (str(self.folder / "load"), *arguments))


def _on(core: int | None, argv: tuple[str, ...]) -> tuple[str, ...]:
    return argv if core is None else ("taskset", "-c", str(core), *argv)


@dataclass(frozen=True)
class Running:
    """
    A running relay.

    :ivar kind: its kind, as the load generator calls it.
    """

    tools: Tools
    program: Program
    kind: str
    port: int

    def _command(self, *arguments: str) -> tuple[str, ...]:
        backend = str(self.tools.backend.fileno())
        return self.tools.generator(
            *("--kind", self.kind, "--relay", str(self.port), "--backend-fd", backend),
            *("--watch", str(self.program.pid), *arguments),
        )

    def load(self, *arguments: str) -> dict[str, float]:
        """
        Run the load generator to its end.

        :return: the numbers of its report.
        :raises RuntimeError: with its output, when it failed.
        """
        done = subprocess.run(
            self._command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            pass_fds=[self.tools.backend.fileno()],
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        report = json.loads(done.stdout.splitlines()[-1])
        return {name: float(value) for name, value in report.items() if not isinstance(value, str)}

    def holding(self, *arguments: str) -> Program:
        """Start the load generator for a dialogue."""
        return Program(*self._command(*arguments), fds=[self.tools.backend.fileno()])


def build(folder: Path) -> None:
    """
    Compile the programs.

    :raises subprocess.CalledProcessError: when that fails.
    """
    for name in ("load", "splice"):
        source = ROOT / "benchmarks" / f"{name}.c"
        subprocess.run(["cc", "-O2", "-o", str(folder / name), str(source)], check=True)


@contextmanager
def rdv(tools: Tools, *options: str) -> Iterator[Running]:
    """``rdv serve``."""
    argv = (
        *COMMAND,
        "-l",
        "127.0.0.1:0",
        "serve",
        "--lobby-timeout",
        "600",
        "--drain",
        "0",
        "--no-limits",
    )
    with tools.relay(*argv, *options) as program:
        yield Running(tools, program, "rdv", int(program.line(r"LISTENING: .*:(\d+)")[1]))


def _limited(tools: Tools) -> AbstractContextManager[Running]:
    """``rdv serve`` with limits that are never reached."""
    return rdv(tools, *(f"--relay-{what}=100T" for what in ("rate", "rate-total", "quota")))


@contextmanager
def _other(tools: Tools) -> Iterator[Running]:
    with told_where(*_on(tools.cores and tools.cores[1], tools.other)) as (program, port):
        yield Running(tools, program, "rdv", port)


@contextmanager
def _splice(tools: Tools) -> Iterator[Running]:
    argv = (str(tools.folder / "splice"), str(tools.backend_port))
    with tools.relay(*argv) as program:
        yield Running(tools, program, "tcp", int(program.line(r"LISTENING: .*:(\d+)")[1]))


@contextmanager
def _transit(tools: Tools) -> Iterator[Running]:
    argv = (tools.transit_python, "-m", "twisted", "--log-format", "text", "transitrelay")
    port = "--port=tcp:0:interface=127.0.0.1:backlog=4096"
    with tools.relay(*argv, port) as program:
        yield Running(tools, program, "transit", int(program.line(r" starting on (\d+)")[1]))


@contextmanager
def _haproxy(tools: Tools) -> Iterator[Running]:
    file = tools.folder / "haproxy.cfg"
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        file.write_text(_HAPROXY.format(listener=listener.fileno(), backend=tools.backend_port))
        argv = (_which("haproxy") or "haproxy", "-db", "-f", str(file))
        program = tools.relay(*argv, fds=[listener.fileno()])
        port = listener.getsockname()[1]
    with program:  # clients that connect before it is ready wait in the queue
        yield Running(tools, program, "tcp", port)


@contextmanager
def _socat(tools: Tools) -> Iterator[Running]:
    backend = f"TCP4:127.0.0.1:{tools.backend_port},nodelay"
    with socket.socket() as holder:  # so that no other program gets the port
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        listen = f"TCP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,reuseport,backlog=4096,nodelay"
        argv = (_which("socat") or "socat", listen, backend)
        with tools.relay(*argv) as program:
            _await_listener(port)
            yield Running(tools, program, "tcp", port)


def _await_listener(port: int) -> None:
    """Wait for a program that does not report when it is ready, without connecting to it."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A "
    until = time.monotonic() + 10
    while wanted not in Path("/proc/net/tcp").read_text():
        if time.monotonic() > until:
            raise RuntimeError(f"nobody listens on port {port}")
        time.sleep(0.01)


#: How to start each relay; the one that is measured comes first.
RELAYS: dict[str, Callable[[Tools], AbstractContextManager[Running]]] = {
    "rdv": rdv,
    "limited": _limited,
    "other": _other,
    "haproxy": _haproxy,
    "transit": _transit,
    "socat": _socat,
    "C loop": _splice,
}


def _which(program: str) -> str | None:
    return shutil.which(program, path=_PATH)


def missing(name: str, tools: Tools) -> str | None:
    """Why a relay cannot be measured here; None if it can."""
    if name in ("haproxy", "socat") and _which(name) is None:
        return f"{name} is not installed"
    if name == "transit":
        argv = [tools.transit_python, "-c", "import wormhole_transit_relay"]
        if subprocess.run(argv, stderr=subprocess.DEVNULL).returncode:
            return (
                f"{tools.transit_python} has no magic-wormhole-transit-relay: install it in an "
                "environment of its own and name its interpreter with --transit-python"
            )
    return None
