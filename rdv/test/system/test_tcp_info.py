"""
What the kernel knows about a connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rdv._system import tcp_info
from rdv._system.sockets import linger
from rdv._system.tcp_info import (
    Reading,
    bytes_acknowledged,
    is_closed,
    is_told,
    reading,
    undelivered,
)
from rdv.test.sockets import Handle, tcp_pair


class AcknowledgedTests(SynchronousTestCase):
    """How many bytes have been acknowledged."""

    if sys.platform != "linux":
        skip = "only Linux tells"

    def setUp(self) -> None:
        self.here, self.there = tcp_pair()
        self.addCleanup(self.here.close)
        self.addCleanup(self.there.close)

    def acknowledged(self) -> int:
        """By the other side."""
        count = bytes_acknowledged(Handle(self.here))
        assert count is not None
        return count

    def exchange(self, data: bytes) -> None:
        """Send, and let the other side answer: its answer acknowledges what it has got."""
        self.here.sendall(data)
        left = len(data)
        while left:
            left -= len(self.there.recv(left))
        self.there.sendall(b".")
        self.assertEqual(self.here.recv(1), b".")

    def test_grows_to_what_was_sent(self) -> None:
        before = self.acknowledged()
        self.exchange(b"one")
        self.assertEqual(self.acknowledged() - before, 3)
        self.exchange(bytes(100_000))
        self.assertEqual(self.acknowledged() - before, 100_003)

    def test_closed(self) -> None:
        """By the system, whatever we know of it; what is known of it stays."""
        before = self.acknowledged()
        self.assertIs(is_closed(self.here), False)
        linger(Handle(self.there), True)
        self.there.close()
        self.assertRaises(ConnectionResetError, self.here.recv, 1)
        self.assertIs(is_closed(self.here), True)
        self.assertEqual(self.acknowledged(), before)
        with socket.socket() as sock:  # not connected yet
            self.assertIs(is_closed(sock), True)

    def read(self) -> Reading:
        """The kernel's word."""
        found = reading(Handle(self.here))
        assert found is not None
        return found

    def test_reading(self) -> None:
        """What is sent is in flight, or has arrived; what comes has come."""
        before = self.read()
        self.assertEqual((before.timeouts, before.probes, before.repeated), (0, 0, 0))
        self.assertGreater(before.segment, 500)
        self.exchange(b"one")
        after = self.read()
        self.assertEqual(after.acknowledged - before.acknowledged, 3)
        self.assertGreater(after.heard, before.heard)
        self.assertEqual(after.in_flight, 0)
        self.assertEqual(after.acknowledged, self.acknowledged())

    def test_reading_without_room(self) -> None:
        """The other side does not read."""
        self.assertGreater(self.read().window, 1000)
        self.here.setblocking(False)
        room = True
        while room:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.here.send(bytes(1 << 16))
            found = self.read()
            room = found.window >= found.segment

    def test_reading_of_an_old_kernel(self) -> None:
        """It does not know the other side's room; one that is older knows too little."""
        self.exchange(b"one")
        whole = self.read()
        known = tcp_info._tcp_info(self.here, 232)
        self.patch(tcp_info, "_tcp_info", lambda *_: known[:228])
        self.assertEqual(self.read(), whole._replace(window=0))
        self.patch(tcp_info, "_tcp_info", lambda *_: known[:136])
        self.assertIsNone(reading(Handle(self.here)))


class ToldTests(SynchronousTestCase):
    """``is_told``: whether a query can work."""

    def test_told(self) -> None:
        here, there = tcp_pair()
        with here, there:
            for platform in ("linux", "darwin"):
                self.patch(sys, "platform", platform)
                self.assertEqual(is_told(Handle(here)), platform == "linux")
                self.assertFalse(is_told(Handle(None)))


class UndeliveredTests(SynchronousTestCase):
    """What has not been acknowledged, queried without a side effect."""

    def setUp(self) -> None:
        self.here, self.there = tcp_pair()
        self.addCleanup(self.here.close)
        self.addCleanup(self.there.close)

    def undelivered(self) -> int | None:
        """As far as our end knows."""
        return undelivered(Handle(self.here))

    def reset(self) -> None:
        """By the other end."""
        linger(Handle(self.there), True)
        self.there.close()

    def fill(self) -> None:
        """Send until no more is taken."""
        self.here.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                self.here.send(bytes(1 << 20))
        self.here.settimeout(30)

    def test_reset(self) -> None:
        """Who reads is told all the same, however often that was looked at."""
        self.assertEqual(self.undelivered(), 0)
        self.reset()
        self.assertIsNone(self.undelivered())
        self.assertIsNone(self.undelivered())
        self.assertRaises(ConnectionResetError, self.here.recv, 1)

    def test_reset_behind_an_end(self) -> None:
        self.there.shutdown(socket.SHUT_WR)
        self.assertEqual(self.here.recv(1), b"")
        self.reset()
        self.assertIsNone(self.undelivered())

    def test_reset_that_was_read(self) -> None:
        """What it has cut off is undelivered for good."""
        if sys.platform != "linux":
            raise SkipTest("only Linux tells")
        self.fill()
        self.assertGreater(self.undelivered() or 0, 0)
        self.reset()
        self.assertRaises(ConnectionResetError, self.here.recv, 1)
        self.assertIsNone(self.undelivered())

    def test_good_order_just_now(self) -> None:
        """What was unacknowledged a moment ago, and is not any more, is not lost for that."""
        self.there.shutdown(socket.SHUT_WR)
        self.assertEqual(self.here.recv(1), b"")

        def then(sock: socket.socket, request: int, argument: bytes) -> bytes:
            self.here.shutdown(socket.SHUT_WR)
            self.assertEqual(self.there.recv(1), b"")
            return (1).to_bytes(4, sys.byteorder)

        self.patch(fcntl, "ioctl", then)
        self.assertEqual(self.undelivered(), 1)

    def test_good_order(self) -> None:
        """Closed by both, and that is no failure; whoever has ended first."""
        for here_first in (True, False):
            pair = self.here, self.there
            first, second = pair if here_first else reversed(pair)
            first.sendall(b"data")
            first.shutdown(socket.SHUT_WR)
            while second.recv(10):
                pass
            second.shutdown(socket.SHUT_WR)
            self.assertEqual(first.recv(1), b"")
            self.assertEqual(self.undelivered(), 0)
            self.setUp()  # once more


class UnknownTests(SynchronousTestCase):
    """Systems that do not report it."""

    def assert_unknown(self, sock: socket.socket | None) -> None:
        """Nothing is known of it."""
        self.assertIsNone(bytes_acknowledged(Handle(sock)))
        self.assertIsNone(reading(Handle(sock)))
        if sock is not None:
            self.assertIsNone(is_closed(sock))

    def test_no_connection(self) -> None:
        """No socket, of another kind, or closed by us."""
        self.assert_unknown(None)
        self.assertIsNone(bytes_acknowledged(object()))
        pair = socket.socketpair()
        for sock in (*pair, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)):
            with sock:
                self.assert_unknown(sock)
        self.assert_unknown(sock)

    def test_another_system(self) -> None:
        """What it has under this name is another structure."""
        self.patch(sys, "platform", "darwin")
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.assert_unknown(sock)

    def test_old_kernel(self) -> None:
        """Its answer ends before the field."""
        self.patch(tcp_info, "_tcp_info", lambda sock: bytes(104))
        self.assertIsNone(bytes_acknowledged(object()))
