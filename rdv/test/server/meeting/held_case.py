"""
Sockets for which the test decides what the kernel reports, and clients that are near or far.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

from rdv.server import Pair
from rdv.server.leg import Leg
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase
from rdv.wire import Offer, Role, switching_protocols

NO_SAMPLE = 0xFFFFFFFF
HERE = ("203.0.113.9", 39841)
#: Microseconds, and half their difference in seconds: exact as binary fractions.
NEAR, FAR, HOLD = 31_250, 156_250, 0.0625
LINES = {Role.DIALER: CONFIRM, Role.ACCEPTOR: HELLO}
EARLY = (400, "bytes before the response")
#: To leave.
WAYS = ("loseConnection", "loseWriteConnection", "abortConnection")


def tcp_info(least: int, smoothed: int = 0) -> bytes:
    """``struct tcp_info`` with these round trips, in microseconds."""
    words = [7] * 24  # tcpi_rto to tcpi_total_retrans
    words[15] = smoothed
    totals = [7] * 4  # tcpi_pacing_rate to tcpi_bytes_received
    # tcpi_segs_out, tcpi_segs_in, tcpi_notsent_bytes, tcpi_min_rtt, and what has come since
    return struct.pack("=8B24I4Q4I20I", *[7] * 8, *words, *totals, 7, 7, 7, least, *[7] * 20)


class KernelSocket(socket.socket):
    """
    A TCP socket for which the test decides what the kernel reports.

    :ivar info: its ``struct tcp_info``.
    """

    def __init__(self, info: bytes = b"") -> None:
        super().__init__()
        self.info = info

    def lie_below(self, transport: Any, client: tuple[Any, ...] = HERE) -> None:
        """Be the socket of a transport, of a client from there."""
        transport.getHandle = lambda: self
        transport.client = client

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        if (level, option) != (socket.IPPROTO_TCP, socket.TCP_INFO):
            return super().getsockopt(level, option, size)
        return self.info[:size]

    def recv(self, size: int, flags: int = 0) -> bytes:
        raise BlockingIOError


class Above:
    """A transport, or something above one."""

    def __init__(self, sock: socket.socket | None = None, transport: object = None) -> None:
        self.getHandle = lambda: sock
        self.transport = transport


class HeldTestCase(ServerTestCase):
    """
    Clients with a round trip.

    :ivar sockets: the source of the kernel's reports.
    :ivar pairs: all so far, when the rendezvous was opened with :meth:`remember`.
    """

    if sys.platform != "linux":
        skip = "only Linux tells round trips"

    def setUp(self) -> None:
        super().setUp()
        self.sockets: dict[Guest, KernelSocket] = {}
        self.pairs: list[Pair] = []
        self.port = 1000

    def remember(self, pair: Pair) -> None:
        """A hook."""
        self.pairs.append(pair)

    def come_from(self, role: Role, trip: int, **said: Any) -> Guest:
        """A client at that distance comes."""
        self.port += 1
        said = {"observed": f"203.0.113.9:{self.port}", **said}
        leg = Leg(Offer(role, b"token"), said["observed"], self.rendezvous)
        guest = Guest(self.clock, leg)
        sock = KernelSocket(tcp_info(trip))
        self.addCleanup(sock.close)
        self.sockets[guest] = sock
        sock.lie_below(guest.at_server, ("203.0.113.9", self.port))
        self.rendezvous.enter(leg)
        self.settle()
        return guest

    def held_pair(self, role: Role, near: int = NEAR, far: int = FAR) -> tuple[Guest, Guest]:
        """The nearer one, which has that role and knows nothing yet, and the farther one."""
        nearer, farther = self.come_from(role, near), self.come_from(role.other, far)
        self.assert_told(farther, nearer)
        self.assert_untold(nearer)
        return nearer, farther

    def assert_told(self, guest: Guest, peer: Guest) -> None:
        """It has got its 101, in one write, and nothing else; forget that."""
        head = switching_protocols(guest.leg.observed, peer.leg.candidates)
        self.assertEqual((guest.take(), guest.at_server.writes), (head, [head]))
        self.assertIsNone(guest.lost)

    def assert_untold(self, *guests: Guest) -> None:
        """Nothing has happened to these."""
        for guest in guests:
            self.assertEqual((guest.received, guest.read_ended, guest.lost), (b"", 0, None))

    def assert_closed(self, *guests: Guest) -> None:
        """The server has closed these properly, without another word."""
        for guest in guests:
            self.assertEqual((guest.received, guest.read_ended), (b"", 1))
            self.assertFalse(guest.at_server.connected or guest.at_server.aborted)
