"""
Any number of connections that are not clients, each opened again whenever it is closed::

    python -m tests.attackers --port 8080 --kind trickle --count 500 127.0.0.9

It says READY when it has tried to open all of them, and ends with its stdin, or after two minutes.
"""

from __future__ import annotations

import argparse
import math
import random
import selectors
import socket
import sys
import time
from contextlib import suppress

__all__ = ["KINDS"]

_LONGEST = 120.0
#: Seconds until a closed connection is opened again; and seconds between two bytes of one that
#: trickles.
_TICK, _TRICKLES = 0.3, 5
_HEAD = b"%s /rdv HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\nRdv-Token: %s\r\n"
_POST = b"POST /rdv HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"

#: What each kind sends first.
KINDS = {
    "silent": lambda: b"",
    "trickle": lambda: b"D",
    "head": lambda: _HEAD % (b"DIAL", b"x" * 8000),
    "body": lambda: _POST,
    "nonsense": lambda: b"nonsense\r\n\r\n",
    "replaced": lambda: _HEAD % (b"DIAL", b"the same") + b"\r\n",
    "waiting": lambda: _HEAD % (b"DIAL", random.randbytes(16).hex().encode()) + b"\r\n",
    "guessing": lambda: _HEAD % (b"DIAL", b"%04d" % random.randrange(10_000)) + b"\r\n",
}
#: The kinds that send a byte now and then, and those that do not close when they are refused.
_TRICKLE = ("trickle", "head", "body")
_STAY = ("nonsense", "replaced")
#: The kinds that leave immediately, and return with another token.
_LEAVE = ("guessing",)


class Crowd:
    """
    All of them.

    :param server: its address and port.
    :param hosts: their local addresses, in turn.
    :param again: seconds over which their returns are spread evenly.
    """

    def __init__(
        self,
        server: tuple[str, int],
        hosts: list[str],
        kind: str,
        count: int,
        again: float = _TICK,
    ) -> None:
        self._server = server
        self._hosts = hosts
        self._kind = kind
        self._poll = selectors.DefaultSelector()
        self._poll.register(sys.stdin, selectors.EVENT_READ)
        self._members: list[socket.socket] = []
        self._ended: list[int] = []
        self._at_once = math.ceil(count * min(1.0, _TICK / again))
        for number in range(count):
            self._members.append(self._open(number))

    def _open(self, number: int) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((self._hosts[number % len(self._hosts)], 0))
        with suppress(BlockingIOError):
            sock.connect(self._server)
        events = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._poll.register(sock, events, number)
        return sock

    def run(self) -> None:
        """To the end."""
        now = begun = time.monotonic()
        due, ticks = now + _TICK, 0
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        while now - begun < _LONGEST:
            for key, events in self._poll.select(due - now):
                if key.fileobj is sys.stdin:
                    return
                self._happened(key.data, bool(events & selectors.EVENT_WRITE))
            now = time.monotonic()
            if now >= due:
                due, ticks = now + _TICK, ticks + 1
                self._tick(trickles=self._kind in _TRICKLE and ticks % _TRICKLES == 0)

    def _happened(self, number: int, can_write: bool) -> None:
        sock = self._members[number]
        try:
            if can_write:
                self._poll.modify(sock, selectors.EVENT_READ, number)
                sock.send(KINDS[self._kind]())
                if self._kind in _LEAVE:
                    sock.shutdown(socket.SHUT_WR)
            elif not sock.recv(4096):
                # One of the kinds that do not close: it stays for as long as the server lets it.
                self._over(number, is_closed=self._kind not in _STAY)
        except OSError:
            self._over(number, is_closed=True)

    def _over(self, number: int, is_closed: bool) -> None:
        self._poll.unregister(self._members[number])
        self._ended.append(number)
        if is_closed:
            self._members[number].close()

    def _tick(self, trickles: bool) -> None:
        ended, self._ended = self._ended[: self._at_once], self._ended[self._at_once :]
        for number in ended:
            if self._is_open(number):
                self._ended.append(number)
            else:
                self._members[number].close()
                self._members[number] = self._open(number)
        if trickles:
            for sock in self._members:
                with suppress(OSError):
                    sock.send(b"x")

    def _is_open(self, number: int) -> bool:
        try:
            self._members[number].send(b"x")
        except OSError:
            return False
        return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--again", type=float, default=_TICK)
    parser.add_argument("hosts", nargs="+")
    return parser.parse_args()


def main() -> None:
    """Attack."""
    chosen = _arguments()
    server = (chosen.server, chosen.port)
    Crowd(server, chosen.hosts, chosen.kind, chosen.count, chosen.again).run()


if __name__ == "__main__":
    main()
