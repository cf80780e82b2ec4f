"""
A plain rdv/1 peer with the behaviour of the original.

``python -m tests.plain_peer dial|accept URL TOKEN`` connects stdin and stdout with the peer's and
writes one line to stderr: ``CONNECTED: p2p IP:PORT`` or ``CONNECTED: relay IP:PORT``. It reaches
the server over http and IPv4 only. It exits with 0; 1 when it could not connect; 2 on wrong usage;
3 when the stream broke.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import threading
import time

from tests.plain import HeadError, format_address, parse_address
from tests.plain_client import PlainPeer, RefusedError

LAST_WORDS = b"leaving at once\n"
CHUNK = 64 * 1024


class Copier:
    """
    Joins a connection with stdin and stdout.

    :param full_close: whether the end of either direction ends both, as in the original.
    """

    def __init__(self, sock: socket.socket, full_close: bool) -> None:
        self.sock = sock
        self.full_close = full_close
        self.error: OSError | None = None
        self.stop_reader, self.stop_writer = socket.socketpair()

    def run(self) -> None:
        """
        Copy until both directions, or with *full_close* one, have ended.

        :raises OSError: when the stream broke.
        """
        sender = threading.Thread(target=self.send, daemon=True)
        sender.start()
        while data := self.receive():
            while data:
                data = data[os.write(1, data) :]
        if not self.full_close:
            sender.join()
        if self.error is not None:
            raise self.error

    def receive(self) -> bytes:
        """The next bytes from the connection; nothing at its end, or after our own full close."""
        readable, _, _ = select.select([self.sock, self.stop_reader], [], [])
        return b"" if self.stop_reader in readable else self.sock.recv(CHUNK)

    def send(self) -> None:
        """Copy stdin to the connection."""
        try:
            while data := os.read(0, CHUNK):
                self.sock.sendall(data)
            self.sock.shutdown(socket.SHUT_WR)
            if self.full_close:
                self.await_acknowledgement()
                self.stop_writer.close()
        except OSError as error:
            self.error = error

    def await_acknowledgement(self) -> None:
        """
        Wait until the other host has got all that we wrote.

        Closing before, with something of the other's unread, would send a reset that destroys it.
        The kernel has no event for it.
        """
        while struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]:
            time.sleep(0.002)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="plain_peer")
    parser.add_argument("role", choices=["dial", "accept"])
    parser.add_argument("url")
    parser.add_argument("token")
    spaces = parser.add_mutually_exclusive_group()
    spaces.add_argument("--spaces", choices=["any", "loopback", "none"], default="any")
    spaces.add_argument("--relay", action="store_const", dest="spaces", const="none", default="any")
    parser.add_argument("--self-addr", type=parse_address, action="append", default=[])
    parser.add_argument("--port", type=int, default=0, help="the shared port")
    parser.add_argument("--relay-penalty", type=float, default=1.0, help="seconds")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds until connected")
    parser.add_argument("--full-close", action="store_true", help="end both directions with one")
    parser.add_argument("--leave", action="store_true", help="dialer: one message, and leave")
    return parser.parse_args()


def main() -> int:
    """The program; returns the exit code."""
    options = parse_arguments()
    peer = PlainPeer(
        is_dialer=options.role == "dial",
        url=options.url,
        token=os.fsencode(options.token),
        spaces=options.spaces,
        self_addresses=tuple(options.self_addr),
        port=options.port,
        relay_penalty=options.relay_penalty,
        last_words=LAST_WORDS if options.leave else b"",
    )
    try:
        candidate = asyncio.run(asyncio.wait_for(peer.connect(), options.timeout))
    except (RefusedError, HeadError, OSError, EOFError, ValueError) as error:
        sys.stderr.write(f"ERR: {error or type(error).__name__}\n")
        return 1
    kind = "relay" if candidate.is_relay else "p2p"
    sys.stderr.write(f"CONNECTED: {kind} {format_address(candidate.sock.getpeername())}\n")
    if options.leave and peer.is_dialer:
        return 0
    try:
        Copier(candidate.sock, options.full_close).run()
    except OSError as error:
        sys.stderr.write(f"ERR: the stream broke: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
