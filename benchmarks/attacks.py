"""
Do honest clients notice that a server is attacked?

A real ``rdv serve`` on 127.0.0.1 with a given number of descriptors, and defaults otherwise, is
attacked in each of the ways of ``tests/attackers.py``, from one address and from a hundred: by more
connections than it has descriptors. Those that are closed return, ``--rate`` per second. ``hogs``
are relayed pairs that transfer as much as they can, and ``limited hogs`` the same with
``--relay-rate-total``. Meanwhile honest pairs come from other addresses, one at a time, each with a
single attempt. They alternate with pairs at a second server that is not attacked. CPU time that the
attackers take affects both, so the ratio shows what the attack on the server itself costs.

``in`` is how many of them met, ``x median`` the ratio of the median time from the first SYN to the
last FIN to that at the other server, ``within 2x`` how many took at most twice that. Memory and CPU
are the attacked server's. ::

    python -m benchmarks.attacks
    python -m benchmarks.attacks --descriptors 2048 --kinds trickle waiting --pairs 20
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from threading import Thread

from benchmarks.clients import PATIENCE, Clients
from benchmarks.common import COMMAND, Program, listening, machine, table
from rdv.wire import confirm_line, hello_line
from tests.attackers import KINDS

__all__: list[str] = []

_NOTHING, _HOGS, _LIMITED = "nothing", "hogs", "limited hogs"
_LIMIT = ("--relay-rate-total", "50M")
#: The number of relayed pairs of hogs, and the maximum for one address.
_HOG_PAIRS, _HOGS_OF_ONE = 64, 32
#: The number of attacking connections per descriptor, and the maximum for one process.
_OVERLOAD, _PROCESS = 1.2, 12_000
#: Seconds between two honest pairs, and from the start of an attack to the first measurement.
_PAUSE, _BEGIN = 0.1, 2.0
_CHUNK = 1 << 18


class _Honest(Clients):
    """A pair that makes one attempt."""

    def token(self) -> bytes:
        return os.urandom(16).hex().encode()


def _meet(port: int) -> float | None:
    """The duration of a pair in seconds; None if it did not meet."""
    begun = time.perf_counter()
    try:
        _Honest(port).meet(1, direct=True)
    except (RuntimeError, OSError) as error:
        print(f"did not meet: {error}", file=sys.stderr)
        return None
    return time.perf_counter() - begun


def _hog(port: int, host: str) -> tuple[socket.socket, socket.socket]:
    """The acceptor and the dialer of a relayed pair."""
    request, token = _Honest(port).request, os.urandom(16).hex().encode()
    place = ("127.0.0.1", port)
    acceptor, dialer = (socket.create_connection(place, PATIENCE, (host, 0)) for _ in "ad")
    for sock, method in ((acceptor, b"ACCEPT"), (dialer, b"DIAL")):
        sock.sendall(request(method, token))
    _until(acceptor, b"\r\n\r\n")
    acceptor.sendall(hello_line(token))
    _until(dialer, hello_line(token))
    dialer.sendall(confirm_line(token))
    _until(acceptor, confirm_line(token))
    return acceptor, dialer


def _until(sock: socket.socket, end: bytes) -> None:
    heard = b""
    while not heard.endswith(end):
        data = sock.recv(4096)
        if not data:
            raise OSError("closed")
        heard += data


def _send(sock: socket.socket) -> None:
    data = bytes(_CHUNK)
    while True:
        sock.sendall(data)


def _receive(sock: socket.socket) -> None:
    buffer = bytearray(_CHUNK)
    while sock.recv_into(buffer):
        pass


def _hogs(port: int, hosts: Sequence[str]) -> None:
    """Run all hogs until stdin ends."""
    number = min(_HOG_PAIRS, _HOGS_OF_ONE * len(hosts))
    for acceptor, dialer in [_hog(port, hosts[n % len(hosts)]) for n in range(number)]:
        Thread(target=_send, args=[dialer], daemon=True).start()
        Thread(target=_receive, args=[acceptor], daemon=True).start()
    print("READY", flush=True)
    sys.stdin.read()


@contextmanager
def _attacked(
    port: int, kind: str, count: int, rate: float, hosts: Sequence[str]
) -> Iterator[None]:
    with ExitStack() as stack:
        argv: list[tuple[str, ...]]
        if kind == _NOTHING:
            argv = []
        elif kind in (_HOGS, _LIMITED):
            argv = [(sys.executable, "-m", "benchmarks.attacks", "--be-hogs", str(port), *hosts)]
        else:
            parts = -(-count // _PROCESS)
            options = ("--port", str(port), "--kind", kind, "--count", str(count // parts))
            again = ("--again", str(count / rate))
            argv = [(sys.executable, "-m", "tests.attackers", *options, *again, *hosts)] * parts
        programs = [stack.enter_context(Program(*each)) for each in argv]
        for program in programs:
            program.line("READY")
        time.sleep(_BEGIN)
        yield


def _row(descriptors: int, kind: str, addresses: int, pairs: int, rate: float) -> list[str]:
    """The effect of an attack, and its cost."""
    count = int(descriptors * _OVERLOAD)
    hosts = [f"127.7.0.{number}" for number in range(1, addresses + 1)]
    limited = ("/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$0" "$@"')
    options = _LIMIT if kind == _LIMITED else ()
    argv = (*limited, *COMMAND, "serve", "-l", "127.0.0.1:0", *options)
    with listening(*argv) as (server, port), listening(*argv) as (other, quiet_port):
        for each in (server, other):
            each.ignore_output()
        for _ in range(10):
            _meet(port), _meet(quiet_port)
        attacked: list[float | None] = []
        quiet: list[float] = []
        with _attacked(port, kind, count, rate, hosts):
            cpu, begun = server.cpu(), time.monotonic()
            for _ in range(pairs):
                quiet.append(_meet(quiet_port) or PATIENCE)
                attacked.append(_meet(port))
                time.sleep(_PAUSE)
            busy = (server.cpu() - cpu) / (time.monotonic() - begun)
            resident = server.resident()
    times = [each for each in attacked if each is not None]
    usual = median(quiet)
    return [
        f"{kind}, {addresses} address{'es' * (addresses > 1)}",
        f"{descriptors}",
        f"{len(times)} of {pairs}",
        f"{usual * 1e3:.1f} ms",
        f"{median(times) * 1e3:.1f} ms" if times else "-",
        f"{median(times) / usual:.2f}" if times else "-",
        f"{sum(each <= 2 * usual for each in times)}",
        f"{sum(each <= 2 * usual for each in quiet)}",
        f"{resident / (1 << 20):.0f} MiB",
        f"{busy * 100:.0f} %",
    ]


def main() -> None:
    """Attack, and print the effects."""
    kinds = [_NOTHING, *KINDS, _HOGS, _LIMITED]
    parser = argparse.ArgumentParser(description="Do honest clients notice an attack?")
    parser.add_argument("--descriptors", type=int, nargs="+", default=[2048, 20_000])
    parser.add_argument("--kinds", choices=kinds, nargs="+", default=kinds)
    parser.add_argument("--addresses", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--pairs", type=int, default=100, help="honest ones (default 100)")
    parser.add_argument(
        "--rate", type=float, default=500.0, help="closed ones that come again a second (500)"
    )
    parser.add_argument("--be-hogs", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.be_hogs:
        port, *hosts = options.be_hogs
        _hogs(int(port), hosts)
        return
    print(machine(), end="\n\n", flush=True)
    rows = []
    for descriptors in options.descriptors:
        for kind in options.kinds:
            for addresses in options.addresses:
                rows.append(_row(descriptors, kind, addresses, options.pairs, options.rate))
                print(rows[-1], file=sys.stderr, flush=True)
    head = ["attack", "descriptors", "in", "quiet", "attacked", "x median", "within 2x"]
    print(table([*head, "quiet ones", "memory", "server CPU"], rows))


if __name__ == "__main__":
    main()
