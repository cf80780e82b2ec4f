"""
A relayed pair of plain sockets, on a reactor that the test turns by hand.

So a test knows what happens in the same turn of the reactor, and needs no Deferreds, for which
Hypothesis could not wait.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.kernel.pipes import Pipes
from rdv._flows.kernel.takeover import Splicer
from rdv._system.sockets import linger, socket_of, tune
from rdv._transport.handover import one_protocol
from rdv.server import Outcome, Pair, RelayLimits, Rendezvous
from rdv.server.leg import Leg
from rdv.test.doubles import present
from rdv.test.sockets import descriptors, tcp_pair
from rdv.wire import Offer, Role, confirm_line, hello_line

__all__ = ["Far", "HandRelay", "HandTestCase", "arrived", "block"]

#: What each sends first.
_LINES = {Role.DIALER: confirm_line(b"token"), Role.ACCEPTOR: hello_line(b"token")}
#: Each sends noise that repeats after this length, a prime, so that no two positions look alike.
_ROUND = 1_000_003
_NOISE = {role: Random(role.name).randbytes(_ROUND) * 2 for role in Role}
#: Turns after which a condition will no longer come true.
_TURNS = 300_000


def block(role: Role, start: int, size: int) -> bytes:
    """What that side sends from there on; ``size`` is a round at most."""
    start %= _ROUND
    return _NOISE[role][start : start + size]


def arrived(sock: socket.socket) -> int:
    """How many bytes the kernel has received on a TCP connection, read or not."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    count: int = struct.unpack_from("Q", info, 128)[0]
    return count


class CountingLeg(Leg):
    """
    Counts the bytes that do not stay in the kernel.

    :ivar copied: bytes that its transport has read, the line among them.
    """

    __slots__ = ("copied",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.copied = 0

    def dataReceived(self, data: bytes) -> None:
        self.copied += len(data)
        super().dataReceived(data)


class Far:
    """
    A client: a plain socket, whose other end is at the server. :meth:`pump` lets it do what it can.

    :ivar leg: how the server sees it.
    :ivar answered: whether it has received its 101.
    :ivar sent: how many of the application's bytes it was given to send so far.
    :ivar received: how many have arrived. Each of them was checked.
    :ivar reading: whether it reads; may be set.
    :ivar finished: whether it has ended its direction.
    :ivar ended: whether it has seen the end of the other direction.
    :ivar broken: whether it has seen the connection break.
    :ivar gone: whether it has closed.
    :param buffer: bytes that the kernel shall hold at each end; 0 for the kernel's default.
    """

    def __init__(self, relay: HandRelay, role: Role, buffer: int) -> None:
        self.role = role
        self.sent = self.received = self._pushed = 0
        self.reading = True
        self.answered = self.finished = self.ended = self.broken = self.gone = False
        self._shut = False
        self._unsent = bytearray()
        self._head = bytearray()
        self._line = _LINES[role.other]
        self.sock, near = tcp_pair(buffer)
        self.sock.setblocking(False)
        tune(self)
        self.leg = CountingLeg(Offer(role, b"token"), "", relay.rendezvous)
        with near:
            near.setblocking(False)
            factory = one_protocol(self.leg)
            relay.reactor.adoptStreamConnection(near.fileno(), near.family, factory)
        relay.rendezvous.enter(self.leg)

    @property
    def greeted(self) -> bool:
        """Whether it has got the other side's line."""
        return not self._line

    def getHandle(self) -> socket.socket:
        """As a transport gives it."""
        return self.sock

    def say_line(self) -> None:
        """Send the line that comes before the application's bytes."""
        self._unsent += _LINES[self.role]
        self.pump()

    def send(self, size: int) -> None:
        """Send so many bytes more."""
        while size:
            data = block(self.role, self.sent, min(size, _ROUND))
            self._unsent += data
            self.sent += len(data)
            size -= len(data)
        self.pump()

    def send_now(self, size: int) -> None:
        """Send so much more, which the kernel has room for, and wait until it has arrived."""
        self.send(size)
        near = present(socket_of(self.leg.transport))
        while arrived(near) < self._pushed:
            os.sched_yield()

    def end(self) -> None:
        """Send no more."""
        self.finished = True
        self.pump()

    def reset(self) -> None:
        """Break the connection."""
        linger(self, True)
        self.close()

    def close(self) -> None:
        """Be gone. What is not yet sent was never said."""
        if not self.gone:
            self.sent -= len(self._unsent)
            self.gone = self.finished = True
            self.sock.close()

    def pump(self) -> None:
        """Send and read what is possible just now."""
        if self.gone or self.broken:
            return
        try:
            self._push()
            while self.reading and not self.ended:
                data = self.sock.recv(1 << 16)
                self.ended = not data
                self._hear(data)
        except BlockingIOError:
            pass
        except OSError:  # reported once: afterwards, a break reads like an end
            self.broken = True

    def _push(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                size = self.sock.send(self._unsent)
                del self._unsent[:size]
                self._pushed += size
            if self.finished and not self._shut:
                self._shut = True
                self.sock.shutdown(socket.SHUT_WR)

    def _hear(self, data: bytes) -> None:
        if not self.answered:
            self._head += data
            head, blank, rest = self._head.partition(b"\r\n\r\n")
            if not blank:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.answered, data = True, bytes(rest)
        line = self._line[: len(data)]
        self._line = self._line[len(line) :]
        assert data.startswith(line), data
        data = data[len(line) :]
        if data != block(self.role.other, self.received, len(data)):
            raise AssertionError(f"wrong bytes at {self.received} of the {self.role.other.name}'s")
        self.received += len(data)


class HandRelay:
    """
    A rendezvous and two clients, which have received their 101 but have not yet sent their lines.

    :ivar pair: the two clients, as the server sees them.
    :ivar fars: the two clients, the dialer first.
    :param reactor: the reactor of a :class:`HandTestCase`.
    :param copy: keep the kernel from moving the bytes.
    :param buffer: see :class:`Far`.
    :param late: let the reactor handle its other descriptors before those of the kernel's flows;
        otherwise the system decides the order.
    :param pipes: how many pipes there may be.
    :param limits: the limits of the pair; None for no limits.
    :param pair: attributes for the pair.
    """

    pair: Pair

    def __init__(
        self,
        reactor: Any,
        *,
        copy: bool = False,
        buffer: int = 0,
        late: bool = False,
        pipes: int | None = None,
        limits: RelayLimits | None = None,
        **pair: object,
    ) -> None:
        self.reactor = reactor
        self._late = late
        self._attributes = pair
        self._before = descriptors()
        self.rendezvous = Rendezvous(
            reactor,
            lobby_timeout=0,
            handshake_timeout=0,
            idle_timeout=0,
            serve=self._serve,
            align=False,
            relay=limits,
        )
        if copy:
            self.rendezvous.splicer = None
        if pipes is not None:
            self.splicer.pipes = Pipes(pipes)
        self.dialer = Far(self, Role.DIALER, buffer)
        self.acceptor = Far(self, Role.ACCEPTOR, buffer)
        self.fars = (self.dialer, self.acceptor)
        self.until(lambda: self.dialer.answered and self.acceptor.answered)

    def _serve(self, pair: Pair) -> None:
        self.pair = pair
        for name, value in self._attributes.items():
            setattr(pair, name, value)

    @property
    def splicer(self) -> Splicer:
        """That of the rendezvous, which has one."""
        return present(self.rendezvous.splicer)

    def other(self, far: Far) -> Far:
        """The one who is not that one."""
        return self.fars[far is self.dialer]

    def turn(self) -> None:
        """One turn of the reactor; then the clients do what they can."""
        watcher = self.rendezvous.splicer and self.rendezvous.splicer.watcher
        if self._late and watcher:
            self.reactor.removeReader(watcher)
            self.reactor.iterate(0)
            if watcher:  # there is still something to watch
                self.reactor.addReader(watcher)
        self.reactor.iterate(0)
        for far in self.fars:
            far.pump()

    def turns(self, count: int = 100) -> None:
        """Several turns."""
        for _ in range(count):
            self.turn()

    def until(self, true: Callable[[], object]) -> None:
        """Turn until something is true."""
        for _ in range(_TURNS):
            if true():
                return
            self.turn()
        raise AssertionError(f"never came true: {self.state()}")

    def until_they(self, what: str, *fars: Far) -> None:
        """Turn until that attribute of each of these is true."""
        self.until(lambda: all(getattr(far, what) for far in fars))

    def until_relayed(self) -> None:
        """Turn until both lines have come."""
        self.until(lambda: self.pair.outcome is Outcome.RELAYED)

    def until_over(self) -> None:
        """Turn until the server is done with the pair."""
        self.until(lambda: not self.rendezvous.pairs)

    def state(self) -> str:
        """What there is to know, for a message."""
        shown = ("role", "sent", "received", "finished", "ended", "broken", "gone")
        return "; ".join(str([getattr(far, name) for name in shown]) for far in self.fars)

    def join(self) -> None:
        """Let both send their lines."""
        for far in self.fars:
            far.say_line()
        self.until_relayed()

    def deliver(self, *fars: Far) -> None:
        """Let these read all that was sent to them; both, by default."""
        for far in fars or self.fars:
            far.reading = True
        self.until(lambda: all(far.received == self.other(far).sent for far in fars or self.fars))

    def close(self) -> None:
        """Let both go, and see that nothing is left of them."""
        for far in self.fars:
            far.close()
        self.until_over()
        self.turn()
        splicer = self.rendezvous.splicer
        if splicer is not None:
            assert splicer.pipes.taken == 0, splicer.pipes.taken
            assert len(splicer.watcher) == 0, len(splicer.watcher)
        self.rendezvous.close()
        self.turn()
        left = self.reactor.getReaders() + self.reactor.getWriters()
        left = [each for each in left if each is not self.reactor.waker]
        assert not left, left
        assert not self.reactor.getDelayedCalls(), self.reactor.getDelayedCalls()
        leaked = descriptors().items() - self._before.items()
        assert not leaked, leaked


class HandTestCase(SynchronousTestCase):
    """
    Tests of relays whose reactor is turned by hand, one at a time.

    :ivar reactor: their reactor, which is never run.
    """

    def setUp(self) -> None:
        self.reactor = self.make_reactor()
        self._open: HandRelay | None = None
        self.addCleanup(self.close)

    def make_reactor(self, kind: Callable[[], Any] = EPollReactor) -> Any:
        """One for the time of the test."""
        reactor = kind()

        def dispose() -> None:
            reactor.removeAll()
            reactor.removeReader(reactor.waker)
            reactor.waker.connectionLost(None)

        self.addCleanup(dispose)
        return reactor

    def relay(self, **options: Any) -> HandRelay:
        """A new relay; the one before it is closed."""
        self.close()
        self._open = HandRelay(self.reactor, **options)
        return self._open

    def forget(self) -> None:
        """Let be what is open, and begin anew."""
        if self._open is not None:
            for far in self._open.fars:
                far.close()
        self._open = None
        self.flushLoggedErrors()
        self.reactor = self.make_reactor()

    def abort(self) -> None:
        """Cut the pair that is open, if there is one."""
        if self._open is not None:
            self._open.pair.abort()

    def close(self) -> None:
        """See that the one which is open leaves nothing behind."""
        relay, self._open = self._open, None
        if relay is not None:
            relay.close()
        self.assertEqual(self.flushLoggedErrors(), [])
