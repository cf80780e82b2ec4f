"""
The servers of ``benchmarks/machines.py``, and the balancers in front of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.common import COMMAND, Program
from tests.documents import named_block, replaced
from tests.proxies import NGINX

__all__ = ["FRONTS", "Fleet"]

_PAGE = "docs/howto/machines.rst"
#: The servers' ports in that page. Here there is one more server.
_PORTS = ("8081", "8082", "8083")

#: More connections, because thousands of clients wait.
_NGINX = replaced(
    NGINX,
    ("events {{}}", "worker_rlimit_nofile 10000;\nevents {{ worker_connections 4000; }}"),
    ("stderr notice", "stderr crit"),
)


class Fleet:
    """
    Servers on ports of this host, each of which can be started and stopped.

    :param options: the options of each server.
    :ivar urls: their URLs.
    """

    def __init__(self, stack: ExitStack, number: int, *options: str) -> None:
        self._stack = stack
        self._options = options
        self.ports = [_reserve(stack) for _ in range(number)]
        self.urls = [f"http://127.0.0.1:{port}/rdv" for port in self.ports]
        self._programs: dict[int, Program] = {}

    def start(self, index: int) -> None:
        """Start a server, without waiting until it listens."""
        listen = ("-l", f"127.0.0.1:{self.ports[index]}")
        program = self._stack.enter_context(Program(*COMMAND, "serve", *listen, *self._options))
        self._programs[index] = program

    def listens(self, index: int) -> None:
        """Wait until a server listens."""
        self._programs[index].line("LISTENING")

    def kill(self, index: int) -> None:
        os.kill(self._programs[index].pid, signal.SIGKILL)

    def drain(self, index: int) -> None:
        """It stops when the streams that it relays have ended, or after its drain time."""
        os.kill(self._programs[index].pid, signal.SIGTERM)


def _reserve(stack: ExitStack, option: int = socket.SO_REUSEADDR) -> int:
    """A port that no other program gets meanwhile, and on which nothing listens yet."""
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind(("127.0.0.1", 0))
    port: int = sock.getsockname()[1]
    return port


def _config(name: str, fleet: Fleet) -> str:
    """A configuration from the page, with one more server."""
    config = named_block(_PAGE, name)
    last = next(line for line in config.splitlines() if _PORTS[-1] in line)
    more = replaced(last, (_PORTS[-1], "MORE")).replace(" three ", " four ")
    config = replaced(config, (last, f"{last}\n{more}"))
    places = zip((*_PORTS, "MORE"), map(str, fleet.ports), strict=True)
    return replaced(config, *places)


@contextmanager
def _urls(fleet: Fleet) -> Iterator[list[str]]:
    """No balancer: clients know all URLs."""
    yield fleet.urls


@contextmanager
def _haproxy(fleet: Fleet, *dropped: str) -> Iterator[list[str]]:
    config = _config("hash-type", fleet)
    lines = [line for line in config.splitlines() if not any(each in line for each in dropped)]
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as sock:
        os.set_inheritable(sock.fileno(), True)
        path = Path(folder, "haproxy.cfg")
        path.write_text(replaced("\n".join(lines) + "\n", (":8080", f"fd@{sock.fileno()}")))
        with Program(_found("haproxy"), "-db", "-f", str(path), fds=[sock.fileno()]) as program:
            program.ignore_output()
            yield [f"http://127.0.0.1:{sock.getsockname()[1]}/rdv"]


@contextmanager
def _haproxy_unchecked(fleet: Fleet) -> Iterator[list[str]]:
    """Without health checks and retries, so that a lost server is not noticed."""
    with _haproxy(fleet, "httpchk", "default-server", "redispatch", "retry-on") as urls:
        yield urls


@contextmanager
def _nginx(fleet: Fleet) -> Iterator[list[str]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _reserve(stack, socket.SO_REUSEPORT)
        listen = ("listen 8080", f"listen 127.0.0.1:{port} reuseport")
        path = folder / "nginx.conf"
        path.write_text(_NGINX.format(content=replaced(_config("upstream rdv", fleet), listen)))
        argv = (_found("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(path))
        stack.enter_context(Program(*argv)).ignore_output()
        yield [f"http://127.0.0.1:{port}/rdv"]


@contextmanager
def _envoy(fleet: Fleet) -> Iterator[list[str]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _reserve(stack, socket.SO_REUSEPORT)
        listen = ('"::", ipv4_compat: true, port_value: 8080', f"127.0.0.1, port_value: {port}")
        path = folder / "envoy.yaml"
        path.write_text(replaced(_config("lb_policy", fleet), listen))
        options = ("--concurrency", "1", "--use-dynamic-base-id", "-l", "critical")
        program = stack.enter_context(Program(_found("envoy"), "-c", str(path), *options))
        program.ignore_output()
        yield [f"http://127.0.0.1:{port}/rdv"]


#: The balancers by name.
FRONTS = {
    "urls": _urls,
    "haproxy": _haproxy,
    "nginx": _nginx,
    "envoy": _envoy,
    "haproxy-unchecked": _haproxy_unchecked,
}


def _found(program: str) -> str:
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SystemExit(f"{program} is not installed")
    return path
