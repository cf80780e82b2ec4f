"""Clients in front of a rendezvous whose requests have already been read, and a case with them."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server import Outcome, Rendezvous
from rdv.server.leg import Leg
from rdv.test.doubles import HalfCloseRecorder, connect
from rdv.wire import Offer, Role, confirm_line, hello_line, refusal

HELLO, CONFIRM = hello_line(b"token"), confirm_line(b"token")


class Guest(HalfCloseRecorder):
    """
    A client in memory.

    :ivar leg: how the server sees it.
    :ivar at_server: the server's end of its connection.
    :ivar here: its own end.
    """

    def __init__(self, clock: Clock, leg: Leg) -> None:
        super().__init__()
        self.leg = leg
        self.at_server, self.here = connect(clock, leg, self)

    @property
    def status(self) -> int | None:
        """The status of the answer, if there is one."""
        return int(self.received.split(b" ", 2)[1]) if self.received else None

    def take(self) -> bytes:
        """What has come since the last time."""
        received = self.received
        self.pieces.clear()
        return received


class ServerTestCase(SynchronousTestCase):
    """A rendezvous, and clients that come to it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.open()

    def open(self, **options: Any) -> None:
        """Begin anew, with these options."""
        self.rendezvous = Rendezvous(self.clock, **options)

    def come(
        self,
        role: Role,
        token: bytes = b"token",
        addresses: str = "",
        observed: str = "",
        early: bytes = b"",
    ) -> Guest:
        """Let a client come, and everything settle."""
        guest = Guest(self.clock, Leg(Offer(role, token, ()), addresses, observed, self.rendezvous))
        self.rendezvous.enter(guest.leg, early)
        self.settle()
        return guest

    def dial(self, token: bytes = b"token", **said: Any) -> Guest:
        """Let a dialer come."""
        return self.come(Role.DIALER, token, **said)

    def accept(self, token: bytes = b"token", **said: Any) -> Guest:
        """Let an acceptor come."""
        return self.come(Role.ACCEPTOR, token, **said)

    def pair(self) -> tuple[Guest, Guest]:
        """A dialer and an acceptor who have got their 101."""
        dialer, acceptor = self.dial(), self.accept()
        self.assertEqual((dialer.status, acceptor.status), (101, 101))
        dialer.take()
        acceptor.take()
        return dialer, acceptor

    def relayed_pair(self) -> tuple[Guest, Guest]:
        """The same, after both lines."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        dialer.here.write(CONFIRM)
        self.settle()
        self.assertEqual((dialer.take(), acceptor.take()), (HELLO, CONFIRM))
        return dialer, acceptor

    def settle(self) -> None:
        """Let everything arrive that is under way."""
        self.clock.advance(0)

    def close_all(self, *guests: Guest) -> None:
        """Let clients close."""
        for guest in guests:
            guest.here.loseConnection()
        self.settle()

    def assert_refused(self, guest: Guest, status: int, reason: str) -> None:
        """
        The client has got that answer in one write, and then the end of the server's direction. The
        server does not close before the client does, lest the answer be lost.
        """
        self.assertEqual(guest.take(), refusal(status, reason))
        self.assertEqual(guest.at_server.writes, [refusal(status, reason)])
        self.assertEqual((guest.read_ended, guest.lost), (1, None))
        self.assertTrue(guest.at_server.connected)

    def assert_waiting(self, *guests: Guest) -> None:
        """These wait, and nobody else does."""
        self.assertEqual(self.rendezvous.waiting, len(guests))
        for guest in guests:
            self.assertEqual((guest.received, guest.read_ended, guest.lost), (b"", 0, None))

    def assert_over(self, **outcomes: int) -> None:
        """Nobody is left, no timer runs, and so the pairs ended."""
        self.assertEqual((self.rendezvous.waiting, self.rendezvous.pairs), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        wanted = {Outcome[name.upper()]: count for name, count in outcomes.items()}
        self.assertEqual(dict(self.rendezvous.outcomes), wanted)
