"""
One dial, with real sockets, under each kind of reactor.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IReactorSocket, IReadWriteDescriptor
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv.addresses import Address, parse_ip
from rdv.client.dial import socket as dial_module
from rdv.client.dial.socket import _ConnectingSocket, dial
from rdv.test.doubles import Wire
from rdv.test.sockets import sockets_at

LONG = 60.0
LOST = Failure(ConnectionLost())


class Scripted(socket.socket):
    """
    A socket for which the test decides some results.

    :cvar errors: values of ``SO_ERROR`` before the real one.
    :cvar away: how many queries find no peer yet.
    :cvar queue: the contents of the error queue.
    """

    errors: ClassVar[list[int]]
    away: ClassVar[int]
    queue: ClassVar[list[bytes]]

    def getsockopt(self, level: int, option: int, *length: int) -> Any:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR) and self.errors:
            return self.errors.pop(0)
        return super().getsockopt(level, option, *length)

    def getpeername(self) -> Any:
        if self.away:
            type(self).away -= 1
            raise OSError(errno.ENOTCONN, "no peer yet")
        return super().getpeername()

    def recvmsg(self, *arguments: Any) -> Any:
        if self.queue:
            return self.queue.pop(0), [], 0, None
        raise BlockingIOError


class DialTestCase(SynchronousTestCase):
    """
    A listener, a free port to dial from, and a reactor that the test runs.

    :ivar listener: what is dialled.
    :ivar local_port: the port to dial from.
    """

    reactor_type = "twisted.internet.selectreactor.SelectReactor"
    host = "127.0.0.1"
    family = socket.AF_INET

    def setUp(self) -> None:
        self.reactor = self.make_reactor()
        self.own_readers = set(self.reactor.getReaders())
        self.addCleanup(self.close_reactor)
        self.listener = self.bound()
        self.listener.listen()
        self.listener.settimeout(10)
        self.local_port = self.free_port()
        self.wire = Wire()
        self.given_up: list[socket.socket] = []

    def make_reactor(self) -> Any:
        try:
            return namedAny(self.reactor_type)()
        except (AttributeError, ImportError):
            self.skipTest("this system has no such reactor")

    def close_reactor(self) -> None:
        for each in {*self.own_readers, *self.reactor.removeAll()}:
            each.connectionLost(LOST)

    def bound(self, port: int = 0) -> socket.socket:
        """A socket that has a port, and does not listen."""
        sock = socket.socket(self.family)
        self.addCleanup(sock.close)
        sock.bind((self.host, port))
        return sock

    def free_port(self) -> int:
        """One that nobody uses on any address, as a dial takes it for all of them."""
        with socket.socket(self.family) as sock:
            sock.bind(("", 0))
            port: int = sock.getsockname()[1]
            return port

    def silent(self) -> socket.socket:
        """A listener that leaves SYNs unanswered: nobody accepts, and its queue is full."""
        if sys.platform != "linux":
            self.skipTest("elsewhere it answers all the same")
        silent = self.bound()
        silent.listen(0)
        for _ in range(3):
            waiting = socket.socket(self.family)
            self.addCleanup(waiting.close)
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        return silent

    def script(self, *errors: int, away: int = 0, queue: tuple[bytes, ...] = ()) -> None:
        """What the dial's socket says; see :class:`Scripted`."""
        Scripted.errors, Scripted.away, Scripted.queue = list(errors), away, list(queue)
        self.patch(socket, "socket", Scripted)

    def begin(self, to: socket.socket | None = None, timeout: float = LONG) -> Deferred[Any]:
        """Dial ``to``, or the listener."""
        address = Address(parse_ip(self.host), (to or self.listener).getsockname()[1])
        given_up = self.given_up.append
        return dial(self.reactor, self.local_port, address, self.wire, timeout, given_up)

    def run_until(self, done: Callable[[], object]) -> None:
        """Let the reactor run."""
        for _ in range(1000):
            if done():
                return
            self.reactor.iterate(0.01)
        self.fail("it does not come")

    def failure_of(self, dialling: Deferred[Any]) -> int | None:
        """The number with which it fails."""
        self.run_until(lambda: dialling.called)
        number: int | None = self.failureResultOf(dialling, ConnectError).value.osError
        self.assert_nothing_left()
        return number

    def lose(self) -> None:
        """The reactor tells of an error as of a loss, and watches no more."""
        (writer,) = self.reactor.getWriters()
        self.reactor.removeWriter(writer)
        writer.connectionLost(LOST)

    def assert_watched_by_nobody(self) -> None:
        """Neither timers nor anything that the reactor waits to write to."""
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.getWriters(), [])

    def assert_nothing_left(self) -> None:
        """Nor sockets."""
        self.assert_watched_by_nobody()
        self.assertEqual(set(self.reactor.getReaders()), self.own_readers)
        self.assertEqual(sockets_at((self.local_port,)), [])

    def assert_connected(self, dialling: Deferred[Any]) -> None:
        """Bytes pass both ways, and a single socket is left, which closes."""
        self.run_until(lambda: dialling.called)
        self.assertIs(self.successResultOf(dialling), self.wire)
        self.assert_watched_by_nobody()
        self.assertEqual(len(sockets_at((self.local_port,))), 1)
        there, address = self.listener.accept()
        with there:
            there.settimeout(10)
            self.assertEqual(address[1], self.local_port)
            self.assertEqual(self.wire.port, self.listener.getsockname()[1])
            there.sendall(b"to the dialer")
            self.run_until(lambda: self.wire.data == b"to the dialer")
            self.wire.write(b"back")
            self.wire.close()
            self.run_until(lambda: self.wire.reason)
            self.assertEqual(there.recv(10), b"back")
        self.assert_nothing_left()


class DialTests(DialTestCase):
    """The result of a dial."""

    def test_interfaces(self) -> None:
        verifyObject(IReactorSocket, self.reactor)
        verifyObject(
            IReadWriteDescriptor, _ConnectingSocket(self.reactor, self.wire, self.given_up.append)
        )

    def test_refused_then_connected(self) -> None:
        """From one port, and at once."""
        for _ in range(2):
            self.assertEqual(self.failure_of(self.begin(self.bound())), errno.ECONNREFUSED)
        self.assert_connected(self.begin())

    def test_port_is_shared(self) -> None:
        """With our own listener."""
        with socket.socket(self.family) as shared:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                shared.setsockopt(socket.SOL_SOCKET, option, 1)
            shared.bind((self.host, self.local_port))
            shared.listen()
            dialling = self.begin()
            self.assertNoResult(dialling)
        self.assert_connected(dialling)

    def test_refused_later(self) -> None:
        """While the reactor waits, which may tell of it as of a loss."""
        dialling = self.begin(self.silent())
        self.reactor.iterate(0)
        self.assertNoResult(dialling)
        (writer,) = self.reactor.getWriters()
        with socket.socket(fileno=os.dup(writer.fileno())) as sock:
            sock.shutdown(socket.SHUT_RDWR)  # for a SYN that is not answered: a reset
        self.assertEqual(self.failure_of(dialling), errno.ECONNRESET)

    def test_reset_before_we_look(self) -> None:
        dialling = self.begin()
        there, _ = self.listener.accept()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        there.close()
        self.assertEqual(self.failure_of(dialling), errno.ECONNRESET)
        self.assertIsNone(self.wire.transport)

    def test_ended_before_we_look(self) -> None:
        """That is a connection all the same."""
        dialling = self.begin()
        there, _ = self.listener.accept()
        there.sendall(b"bye")
        there.close()
        self.run_until(lambda: self.wire.reason)
        self.assertIs(self.successResultOf(dialling), self.wire)
        self.assertEqual(self.wire.data, b"bye")
        self.assert_nothing_left()

    def test_taken(self) -> None:
        """Both ports by another connection, or ours by somebody who does not share it."""
        first, second = self.begin(), self.begin()
        number = self.failureResultOf(second, ConnectError).value.osError
        self.assertIn(number, (errno.EADDRNOTAVAIL, errno.EADDRINUSE))
        self.assert_connected(first)
        self.local_port = self.free_port()
        with self.bound(self.local_port):
            failure = self.failureResultOf(self.begin(), ConnectError)
        self.assertEqual(failure.value.osError, errno.EADDRINUSE)
        self.assert_nothing_left()

    def test_no_socket(self) -> None:
        """No such family on this host, or no descriptor."""
        self.patch(socket, "SOCK_STREAM", 99)
        failure = self.failureResultOf(self.begin(), ConnectError)
        self.assertIsNotNone(failure.value.osError)
        self.assert_nothing_left()

    def assert_given_up(self, dialling: Deferred[Any]) -> None:
        """Its socket is open, and all that is left of it."""
        self.failureResultOf(dialling, CancelledError)
        given_up = self.given_up.pop()
        self.assertNotEqual(given_up.fileno(), -1)
        given_up.close()
        self.assert_nothing_left()

    def test_cancelled(self) -> None:
        for turns in range(2):
            dialling = self.begin(self.silent())
            for _ in range(turns):
                self.reactor.iterate(0)
            dialling.cancel()
            self.assert_given_up(dialling)

    def test_cancelled_when_it_stands(self) -> None:
        """But nobody has been told."""
        dialling = self.begin()
        there, _ = self.listener.accept()
        with there:
            dialling.cancel()
        self.assert_given_up(dialling)
        self.assertIsNone(self.wire.transport)

    def test_not_answered(self) -> None:
        dialling = self.begin(self.silent(), timeout=0)
        self.run_until(lambda: dialling.called)
        self.failureResultOf(dialling, ConnectTimeoutError)
        self.assert_nothing_left()

    def test_no_descriptor_for_the_reactor(self) -> None:
        def adopt(*arguments: object) -> int:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(self.reactor, "adoptStreamConnection", adopt)
        self.assertEqual(self.failure_of(self.begin()), errno.EMFILE)

    # What the system reports before the dial is over, or instead of its end.

    def test_soft_errors(self) -> None:
        """The dial goes on: at its begin, and when the reactor looks."""
        self.script(errno.EHOSTUNREACH, errno.EHOSTUNREACH)
        self.patch(dial_module, "is_closed", lambda sock: False)
        self.assert_connected(self.begin())
        self.assertEqual(Scripted.errors, [])

    def test_closed(self) -> None:
        """If the reason went with a soft error: whatever it was, it is worth another dial."""
        self.patch(dial_module, "is_closed", lambda sock: True)
        for said, told in ((errno.EHOSTUNREACH, errno.EHOSTUNREACH), (0, errno.ECONNREFUSED)):
            self.local_port = self.free_port()
            self.script(said)
            self.assertEqual(self.failure_of(self.begin()), told)

    def test_reset_while_the_reactor_takes_it(self) -> None:
        def adopt(*arguments: object) -> int:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            raise OSError(errno.ENOTCONN, "no peer any more")

        self.patch(self.reactor, "adoptStreamConnection", adopt)
        self.assertEqual(self.failure_of(self.begin()), errno.ECONNRESET)

    def test_system_that_does_not_tell(self) -> None:
        """There every error is the end, and none is not."""
        self.patch(dial_module, "is_closed", lambda sock: None)
        self.assert_connected(self.begin())
        self.script(errno.EHOSTUNREACH)
        self.assertEqual(self.failure_of(self.begin()), errno.EHOSTUNREACH)

    def test_loss_before_the_end(self) -> None:
        """Nothing is decided yet: it is watched again."""
        self.script(away=3)
        dialling = self.begin()
        self.lose()
        self.lose()
        self.assert_connected(dialling)
        self.assertEqual(Scripted.away, 0)

    def test_error_queue(self) -> None:
        """
        All of it is taken out, or it wakes the reactor again and again; but not on systems where
        the flag means something else, and would take the peer's bytes.
        """
        for flag, left in ((getattr(socket, "MSG_ERRQUEUE", 0x2000), []), (0, [b"1", b"2", b"3"])):
            self.wire = Wire()
            self.script(queue=(b"1", b"2", b"3"))
            self.patch(socket, "MSG_ERRQUEUE", flag)
            self.assert_connected(self.begin())
            self.assertEqual(Scripted.queue, left)


class IPv6Tests(DialTests):
    """The same over IPv6."""

    host = "::1"
    family = socket.AF_INET6

    def setUp(self) -> None:
        try:
            self.bound().close()
        except OSError:
            self.skipTest("no IPv6 on this host")
        super().setUp()


class AsyncioTests(DialTests):
    """The same under asyncio."""

    def make_reactor(self) -> Any:
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        return AsyncioSelectorReactor(loop)


class PollTests(DialTests):
    """The same under poll."""

    reactor_type = "twisted.internet.pollreactor.PollReactor"


class EPollTests(DialTests):
    """The same under epoll."""

    reactor_type = "twisted.internet.epollreactor.EPollReactor"
