"""
The running reactor, real connections on loopback, and the sockets and descriptors of this process.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import socket
import stat
import struct
from collections.abc import Callable, Container, Iterator
from tempfile import mkdtemp
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

REACTOR: Any = global_reactor


def turn() -> Deferred[None]:
    """The next turn of the reactor."""
    return deferLater(REACTOR, 0)


async def turns(number: int) -> None:
    """Several turns."""
    for _ in range(number):
        await turn()


async def until(true: Callable[[], object]) -> None:
    """Let the reactor work, turn by turn, until that is so."""
    while not true():
        await turn()


class Handle:
    """The part of a transport over a socket that other code asks for."""

    def __init__(self, sock: object) -> None:
        self.getHandle = lambda: sock


def tcp_pair(buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """
    A connection over loopback: who has dialled, and who was dialled. Who waits at one end for
    longer than 30 seconds gives up.

    :param buffer: bytes that the kernel shall hold at each end; 0 for as many as it likes.
    """
    with socket.socket() as listener:
        one = socket.socket()
        for sock in (listener, one):
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 30, 0))
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF) if buffer else ():
                sock.setsockopt(socket.SOL_SOCKET, option, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        one.connect(listener.getsockname())
        other, _ = listener.accept()
    return one, other


def held_port() -> socket.socket:
    """
    A socket with a port on all addresses of IPv4, which it shares with whoever wants to share, and
    with nobody else. The number of a port that was free a moment ago may be somebody's by now, on a
    busy machine, or be taken at another address by a connection that has just ended.
    """
    holder = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        holder.setsockopt(socket.SOL_SOCKET, option, 1)
    holder.bind(("", 0))
    return holder


def socket_path(test: SynchronousTestCase) -> str:
    """Where a UNIX socket can be: in a new folder whose path is short, as such sockets need it."""
    folder = mkdtemp(prefix="rdv")
    test.addCleanup(shutil.rmtree, folder)
    return f"{folder}/socket"


def descriptors() -> dict[int, str]:
    """The descriptors that this process has open."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists them
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def open_descriptors() -> int:
    """How many this process has, but for those that an earlier test has left to the collector."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def sockets_at(ports: Container[int]) -> list[str]:
    """This process's IP sockets that are bound to one of ``ports``."""
    found = []
    for sock in own_sockets():
        local = sock.getsockname()
        if local[1] in ports:
            found.append(f"socket at {local}")
    return found


def keep_alive_states(port: int) -> dict[str, bool]:
    """Whether keepalive is on, by the other end, for the connections from ``port``."""
    found = {}
    for sock in own_sockets():
        if sock.getsockname()[1] == port:
            with contextlib.suppress(OSError):  # not connected
                host, number = sock.getpeername()[:2]
                on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                found[f"{host}:{number}"] = bool(on)
    return found


def own_sockets() -> Iterator[socket.socket]:
    for name in os.listdir("/dev/fd"):
        try:
            duplicate = os.dup(int(name))
        except OSError:
            continue  # the one that lists the directory is gone again
        if not stat.S_ISSOCK(os.fstat(duplicate).st_mode):
            os.close(duplicate)
            continue
        with socket.socket(fileno=duplicate) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                yield sock
