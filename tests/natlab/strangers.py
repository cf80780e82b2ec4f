"""
Hosts other than the peers of a pair: what they send to any host that connects to them, or to which
they connect. Sockets and threads, without any code of rdv.
"""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.natlab.case import PATIENCE
from tests.natlab.lab import PORT, Host

__all__ = [
    "TROJAN",
    "Crossing",
    "EvilServer",
    "HeldServer",
    "Play",
    "Stranger",
    "Wire",
    "confirm",
    "pose",
]

#: What should be mistaken for the peer's data.
TROJAN = b"what a stranger wants to deliver\n" * 8
_ANY_PORT = 7777
#: Seconds for data in flight to a stranger whose time is over. Most have seen their end already.
_LAST_WORDS = 3.0

#: A connection to any port of a host reaches the stranger.
_REDIRECT = f"""
table ip stranger {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    meta l4proto tcp redirect to :{_ANY_PORT}
  }}
}}
"""
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\n"
    b"Rdv-Observed-Addr: 203.0.113.1:7777\r\nRdv-Peer-Addrs: %b\r\n\r\n"
)


@dataclass(frozen=True)
class Request:
    """
    The request of a client that wants to meet a peer.

    :ivar home: where it can be reached, according to itself.
    """

    dials: bool
    token: bytes
    home: bytes


class Wire:
    """
    A connection of a stranger. After it is closed, or has waited too long, it receives nothing
    more.

    :ivar heard: everything that has arrived, except for a head that was taken.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self._sock = sock
        self.heard = b""

    def say(self, data: bytes) -> None:
        """Write."""
        with contextlib.suppress(OSError):
            self._sock.sendall(data)

    def more(self) -> bytes:
        """What comes next; nothing at the end."""
        try:
            data = self._sock.recv(1 << 16)
        except OSError:
            data = b""
        self.heard += data
        return data

    def until(self, end: bytes, behind: int = 0) -> bytes:
        """What has come, as soon as ``end`` has, and so many bytes behind it."""
        while end not in self.heard or len(self.heard.partition(end)[2]) < behind:
            if not self.more():
                break
        return self.heard

    def take_request(self) -> Request | None:
        """What a client of a server comes with; none when it is no such client."""
        head, _, self.heard = self.until(b"\r\n\r\n").partition(b"\r\n\r\n")
        token = re.search(rb"(?im)^rdv-token: (.*?)\r?$", head)
        if token is None:
            return None
        home = re.search(rb"(?im)^rdv-self-addrs: (.*?)\r?$", head)
        return Request(head.startswith(b"DIAL "), token[1], home[1] if home else b"")

    def rest(self) -> bytes:
        """All that comes to the end."""
        while self.more():
            pass
        return self.heard

    def end(self) -> None:
        """End our direction."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Who waits for something on it gets the end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


Play: TypeAlias = Callable[[Wire], object]


def confirm(wire: Wire, said: Callable[[], object] = lambda: None) -> None:
    """Pose as a dialer to whoever says HELLO."""
    line = wire.until(b"\r\n").partition(b"\r\n")[0] + b"\r\n"
    wire.say(line.replace(b" HELLO ", b" CONFIRM ") + TROJAN)
    wire.end()
    said()
    wire.rest()


def pose(wire: Wire, hello: bytes, says: bytes = TROJAN) -> None:
    """Pose as an acceptor."""
    wire.say(hello + says)
    wire.until(b"\r\n")
    wire.end()
    wire.rest()


class Stranger:
    """
    A host that does the same on each connection, whichever side has made it.

    :param host: where.
    """

    def __init__(self, host: Host, play: Play) -> None:
        self._host = host
        self._play = play
        self._wires: list[Wire] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def listen(self, port: int | None = None) -> None:
        """
        Wait for others.

        :param port: the only one; by default all that the host has.
        """
        if port is None:
            self._host.namespace.run("nft", "-f", "-", text=_REDIRECT)
        with self._host.namespace.entered():
            self._listener = socket.create_server(("", port or _ANY_PORT))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._begin(listener.accept()[0])

    def _begin(self, sock: socket.socket) -> None:
        wire = Wire(sock)
        self._wires.append(wire)
        self._threads.append(threading.Thread(target=self._play, args=(wire,), daemon=True))
        self._threads[-1].start()

    def visit(self, ip: str, port: int) -> None:
        """Connect."""
        with self._host.namespace.entered():
            self._begin(socket.create_connection((ip, port), PATIENCE))

    def close(self) -> list[bytes]:
        """It is gone; what has come on each connection."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        until = time.monotonic() + _LAST_WORDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for wire in self._wires:
            wire.close()
        return [wire.heard for wire in self._wires]


class Crossing:
    """Joins wires: each waits for one of the other side, and forwards what arrives."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[object, bool], queue.Queue[Wire]] = defaultdict(queue.Queue)

    def join(
        self,
        wire: Wire,
        name: object,
        side: bool,
        change: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        """
        :param name: of those that may be joined.
        :param change: is given all pieces that come.
        """
        self._waiting[name, side].put(wire)
        other = self._waiting[name, not side].get(timeout=4 * PATIENCE)
        data = wire.heard
        while data or (data := wire.more()):
            other.say(change(data))
            data = b""
        other.end()


class EvilServer(Stranger):
    """
    A server that immediately tells each client that the peer is there. The first time for each role
    and token, it does what ``play`` says; after that it is honest.

    :param play: called with the wire, whether it is a dialer's, and the token.
    """

    def __init__(self, host: Host, play: Callable[[Wire, bool, bytes], object]) -> None:
        self._evil = play
        self._seen: Counter[tuple[bool, bytes]] = Counter()
        self._crossing = Crossing()
        super().__init__(host, self._serve)
        self.listen(PORT)

    def _serve(self, wire: Wire) -> None:
        request = wire.take_request()
        if request is None:
            return
        dials, token = request.dials, request.token
        wire.say(_SWITCH % b"")
        self._seen[dials, token] += 1
        if self._seen[dials, token] == 1:
            self._evil(wire, dials, token)
        else:
            self._crossing.join(wire, token, dials)


class HeldServer(Stranger):
    """
    An honest one for one pair, but it relays nothing before :meth:`release`: until then the peers
    have each other's home addresses only, however long everything takes.
    """

    def __init__(self, host: Host) -> None:
        self._released = threading.Event()
        self._acceptors = threading.Semaphore(0)
        self._homes: dict[bool, queue.Queue[bytes]] = defaultdict(queue.Queue)
        self._crossing = Crossing()
        super().__init__(host, self._serve)
        self.listen(PORT)

    def await_acceptor(self) -> bool:
        """Wait until one is in the lobby."""
        return self._acceptors.acquire(timeout=PATIENCE)

    def hold(self) -> None:
        """As at the beginning."""
        self._released.clear()

    def release(self) -> None:
        """From now on it relays."""
        self._released.set()

    def _serve(self, wire: Wire) -> None:
        request = wire.take_request()
        if request is None:
            return
        self._homes[request.dials].put(request.home)
        if not request.dials:
            self._acceptors.release()
        wire.say(_SWITCH % self._homes[not request.dials].get(timeout=PATIENCE))
        self._released.wait(4 * PATIENCE)
        self._crossing.join(wire, request.token, request.dials)
