"""
No client is matched with one that is gone or has sent data, even if the reactor has not read that
yet.

The server's ends have real sockets, because the kernel's buffers matter here.
"""

from __future__ import annotations

import select
import socket

from twisted.internet.defer import Deferred

from rdv._system.sockets import linger
from rdv.server import Pair
from rdv.server import leg as leg_module
from rdv.server.leg import Leg
from rdv.test.server.doubles import Guest, ServerTestCase
from rdv.test.sockets import tcp_pair
from rdv.wire import Offer, Role


class FarEnd:
    """
    The client's side of a real connection.

    :ivar near: the server's side.
    """

    def __init__(self) -> None:
        self.far, self.near = tcp_pair()
        self.near.setblocking(False)

    def getHandle(self) -> socket.socket:
        """As a transport gives it."""
        return self.far

    def leave_traces(self, how: str) -> None:
        """Do something, and wait until it is in the server's kernel."""
        if how == "speak":
            self.far.sendall(b"x")
        elif how == "end":
            self.far.shutdown(socket.SHUT_WR)
        elif how == "reset":
            linger(self, True)
            self.far.close()
        else:
            self.far.close()
        assert select.select([self.near], [], [], 10)[0]

    def close(self) -> None:
        """Both sides."""
        self.near.close()
        self.far.close()


class SilenceTests(ServerTestCase):
    """The ways in which a client may be gone."""

    ways = ("end", "close", "reset")

    def come_over_socket(self, role: Role, trace: str | None = None) -> tuple[Guest, FarEnd]:
        """A client with a real socket; it does that between its request and its arrival."""
        guest = Guest(self.clock, Leg(Offer(role, b"token"), "", self.rendezvous))
        end = FarEnd()
        self.addCleanup(end.close)
        setattr(guest.at_server, "getHandle", lambda: end.near)  # noqa: B010
        if trace is not None:
            end.leave_traces(trace)
        self.rendezvous.enter(guest.leg)
        self.settle()
        return guest, end

    def test_spoken(self) -> None:
        """It gets its 400 and the other one no 101, whichever came first."""
        for first in (True, False):
            self.open()
            trace = None if first else "speak"
            waiting = None if first else self.dial()
            speaker, end = self.come_over_socket(Role.ACCEPTOR, trace)
            if first:
                end.leave_traces("speak")
            other = waiting or self.dial()
            self.assert_refused(speaker, 400, "bytes before the response")
            self.assert_waiting(other)

    def test_kept_alive(self) -> None:
        """Who waits long needs keepalive, from the beginning."""
        _, end = self.come_over_socket(Role.DIALER)
        self.assertTrue(end.near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_waiting_client_gone(self) -> None:
        """The newcomer waits in its place, and meets one who lives."""
        for role in Role:
            for way in self.ways:
                self.open()
                gone, end = self.come_over_socket(role)
                end.leave_traces(way)
                newcomer = self.come(role.other)
                self.assert_waiting(newcomer)
                self.assertEqual(gone.received, b"")
                self.assertFalse(gone.at_server.connected)
                partner = self.come(role)
                self.assertEqual((newcomer.status, partner.status), (101, 101))

    def test_newcomer_gone(self) -> None:
        """The one who waits goes on waiting, as if nobody had come."""
        for way in self.ways:
            self.open()
            waiting = self.dial()
            gone, _ = self.come_over_socket(Role.ACCEPTOR, way)
            self.assertEqual(gone.received, b"")
            self.assertFalse(gone.at_server.connected)
            self.assert_waiting(waiting)

    def test_successor_gone(self) -> None:
        """It takes nobody's place."""
        for way in self.ways:
            self.open()
            waiting = self.dial()
            gone, _ = self.come_over_socket(Role.DIALER, way)
            self.assertEqual((gone.received, gone.at_server.connected), (b"", False))
            self.assert_waiting(waiting)

    def test_first_one_gone(self) -> None:
        """Of one whom nobody waits for the reactor tells soon enough: it is not looked at twice."""
        looks: list[object] = []
        self.patch(leg_module, "unread", looks.append)
        self.come_over_socket(Role.DIALER)
        self.assertEqual(looks, [])
        self.come_over_socket(Role.ACCEPTOR)
        self.assertEqual(len(looks), 2)

    def test_gone_while_the_hook_was_thinking(self) -> None:
        """Looked at again when it has decided: the one who is left waits."""
        for way in self.ways:
            thought: Deferred[None] = Deferred()
            pairs: list[Pair] = []
            self.open(serve=lambda pair, t=thought, pairs=pairs: pairs.append(pair) or t)
            gone, end = self.come_over_socket(Role.DIALER)
            acceptor = self.accept()
            ended = pairs[0].when_ended()
            end.leave_traces(way)
            thought.callback(None)
            self.settle()
            self.assertEqual(gone.received, b"")
            self.assert_waiting(acceptor)
            self.successResultOf(ended)
