"""
Whether the other side of an unread connection is still there, on real sockets.
"""

from __future__ import annotations

import socket
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv._flows.kernel.epoll import Watcher
from rdv._system.sockets import linger
from rdv._system.tcp_info import has_owner
from rdv.forwarding.hangup import Hangup, has_hung_up
from rdv.test.sockets import REACTOR, Handle, tcp_pair, turns

if sys.platform != "linux":
    __skip__ = "only Linux tells"


def pair_of(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Ours, and that of the other program."""
    return tcp_pair() if family == socket.AF_INET else socket.socketpair()


class HangupTests(TestCase):
    """``Hangup``, with a clock of the test's."""

    timeout = 30

    def begin(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        """Look at a connection."""
        self.ours, self.other = pair_of(family)
        for sock in (self.ours, self.other):
            self.addCleanup(sock.close)
        self.clock = Clock()
        self.watcher = Watcher(REACTOR)
        self.gone: list[bool] = []
        self.hangup = Hangup(
            self.clock, self.watcher, Handle(self.ours), lambda: self.gone.append(True)
        )
        self.addCleanup(self.hangup.stop)

    async def is_gone(self) -> bool:
        """Whether somebody was told, after a while."""
        for _ in range(5):
            await turns(2)
            self.clock.advance(1)
        if self.gone:
            self.assertEqual(self.gone, [True])
            self.assertEqual((len(self.watcher), self.clock.getDelayedCalls()), (0, []))
        return bool(self.gone)

    async def test_close(self) -> None:
        """With TCP the kernel is asked, and a Unix socket says so."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            self.begin(family)
            self.assertFalse(await self.is_gone())
            self.other.close()
            self.assertTrue(await self.is_gone())

    async def test_half_close(self) -> None:
        """As long as a program has it; even if it has said nothing."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            self.begin(family)
            self.other.shutdown(socket.SHUT_WR)
            self.assertFalse(await self.is_gone())
            self.other.close()
            self.assertTrue(await self.is_gone())

    async def test_close_behind_bytes(self) -> None:
        """They are to be delivered, and none was taken."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            self.begin(family)
            self.other.sendall(b"bytes")
            self.other.close()
            self.assertFalse(await self.is_gone())
            self.hangup.stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual((self.ours.recv(99), self.ours.recv(99)), (b"bytes", b""))

    async def test_reset(self) -> None:
        """Nobody counts on anything, whatever came before."""
        for before in (b"", b"bytes"):
            for ends in (False, True):
                self.begin()
                self.other.sendall(before)
                if ends:
                    self.other.shutdown(socket.SHUT_WR)
                self.assertFalse(await self.is_gone())
                linger(Handle(self.other), True)
                self.other.close()
                self.assertTrue(await self.is_gone())

    async def test_stopped(self) -> None:
        """In whatever phase, nothing is left."""
        for ends in (False, True):
            self.begin()
            if ends:
                self.other.shutdown(socket.SHUT_WR)
                await turns(3)
                self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.hangup.stop()
            self.assertEqual((len(self.watcher), self.clock.getDelayedCalls()), (0, []))

    def test_no_socket(self) -> None:
        """Of a transport in memory nothing can be known."""
        hangup = Hangup(Clock(), Watcher(REACTOR), object(), self.fail)
        hangup.stop()
        self.assertFalse(has_hung_up(object()))


class OwnerTests(SynchronousTestCase):
    """``has_owner``."""

    def check(self, family: socket.AddressFamily, host: str, where: str) -> None:
        """A connection of this family to that host."""
        dual = family == socket.AF_INET6 and not host
        with socket.create_server((host, 0), family=family, dualstack_ipv6=dual) as listener:
            self.assertIsNone(has_owner(listener))
            with socket.create_connection((where, listener.getsockname()[1])) as other:
                ours, _ = listener.accept()
                with ours:
                    self.assertIs(has_owner(ours), True)
                    other.shutdown(socket.SHUT_WR)
                    self.assertIs(has_owner(ours), True)
                    other.close()
                    self.assertIs(has_owner(ours), False)

    def test_tcp(self) -> None:
        self.check(socket.AF_INET, "127.0.0.1", "127.0.0.1")

    def test_ipv6(self) -> None:
        self.check(socket.AF_INET6, "::1", "::1")
        self.check(socket.AF_INET6, "", "127.0.0.1")

    def test_none(self) -> None:
        """Of others, nothing is known."""
        for sock in (*socket.socketpair(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)):
            with sock:
                self.assertIsNone(has_owner(sock))
