"""
A server and clients on loopback, under any reactor, to check the bytes between the clients.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.server import Site
from zope.interface import implementer

from rdv._flows.kernel.takeover import Splicer
from rdv._system.sockets import socket_of, tune
from rdv._transport.handover import hand_over
from rdv._transport.interfaces import StreamTransport
from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.server.leg import Leg
from rdv.test.certificates import Authority
from rdv.test.doubles import present
from rdv.test.server.doubles import request
from rdv.test.sockets import REACTOR, descriptors, turn, turns, until
from rdv.wire import Role, confirm_line, hello_line

METHODS = {Role.DIALER: b"DIAL", Role.ACCEPTOR: b"ACCEPT"}
LINES = {Role.DIALER: confirm_line(b"token"), Role.ACCEPTOR: hello_line(b"token")}
#: What clients send is cut out of this.
NOISE = Random(7).randbytes(1 << 24)
MEBI = 1 << 20
#: Small buffers in the kernel: a little data fills all buffers on the path.
SMALL = 1 << 16


class _Asking(Protocol):
    """A client until it has received its 101."""

    def __init__(self, talker: Talker) -> None:
        self._talker = talker
        self._head = b""

    def connectionMade(self) -> None:
        present(self.transport).write(request(METHODS[self._talker.role]))

    def dataReceived(self, data: bytes) -> None:
        self._head += data
        head, blank, rest = self._head.partition(b"\r\n\r\n")
        if blank:
            assert head.startswith(b"HTTP/1.1 101 "), head
            hand_over(present(self.transport), self._talker)
            if rest:
                self._talker.dataReceived(rest)


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """
    A client that has received its 101. Of the data that arrives, it keeps the number of bytes and a
    checksum.

    :ivar sent: how many bytes of the application it has sent.
    :ivar received: how many it has received.
    :ivar ended: whether the other side's direction has ended.
    :ivar lost: why the connection is gone; None while it is established.
    """

    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, role: Role, changed: Callable[[], object]) -> None:
        self.role = role
        self.joined = False
        self.sent = self.received = 0
        self.ended = False
        self.lost: Failure | None = None
        self._begin = Random(role.name).randrange(1000)
        self._hash = sha256()
        self._line = LINES[role.other]
        self._changed = changed

    @property
    def broken(self) -> bool:
        """Whether the connection has broken, which is not to be mistaken for an end."""
        return self.lost is not None and not self.lost.check(ConnectionDone)

    def connectionMade(self) -> None:
        tune(self.transport)
        self.joined = True
        self._changed()

    def dataReceived(self, data: bytes) -> None:
        line = self._line[: len(data)]
        assert data.startswith(line), data
        self._line = self._line[len(line) :]
        self._hash.update(data[len(line) :])
        self.received += len(data) - len(line)
        self._changed()

    def readConnectionLost(self) -> None:
        assert not self.ended
        self.ended = True
        self._changed()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self._changed()

    def words(self, begin: int, size: int) -> bytes:
        """What it says from some place on."""
        begin += self._begin
        return NOISE[begin : begin + size]

    def say(self, size: int, line: bool = False) -> None:
        """Send so many bytes more, if asked behind the line."""
        words = self.words(self.sent, size)
        assert len(words) == size
        self.sent += size
        self.transport.write(LINES[self.role] + words if line else words)

    def end(self) -> None:
        """Send no more."""
        self.transport.loseWriteConnection()

    def reset(self) -> None:
        """Break the connection."""
        self.transport.abortConnection()

    def heard_right(self, other: Talker) -> bool:
        """Whether what has come is what the other one has sent first."""
        return self._hash.digest() == sha256(other.words(0, self.received)).digest()


class RelaySocketsTestCase(TestCase):
    """
    A server and its pairs.

    :ivar rendezvous: the server's.
    :ivar pairs: all pairs so far, as the server sees them.
    :ivar talkers: all clients so far.
    """

    timeout = 60
    #: Whether the server lets the kernel move bytes.
    spliced = True
    tapped = False
    secure = False

    async def setUp(self) -> None:  # type: ignore[override]
        self.pairs: list[Pair] = []
        self.talkers: list[Talker] = []
        self._waiting: list[tuple[Callable[[], object], Deferred[None]]] = []
        self._copied = 0
        self._count_copied()
        self.rendezvous = Rendezvous(
            REACTOR, lobby_timeout=0, handshake_timeout=0, idle_timeout=0, serve=self._serve
        )
        if not self.spliced and not self.tapped and not self.secure:
            self.rendezvous.splicer = None
        site = Site(RendezvousResource(self.rendezvous), reactor=REACTOR, timeout=None)
        site.noisy = False
        options = {"interface": "127.0.0.1"}
        if self.secure:
            self._authority = Authority()
            context = self._authority.server_context("127.0.0.1")
            self._port = REACTOR.listenSSL(0, site, context, **options)
        else:
            self._port = REACTOR.listenTCP(0, site, **options)
        self.addCleanup(self._port.stopListening)
        await self.turn()  # a reactor that runs has opened what it needs
        self._before = descriptors()

    def _serve(self, pair: Pair) -> None:
        self.pairs.append(pair)
        if self.tapped:
            pair.tap_dialer = pair.tap_acceptor = lambda data: None

    def _count_copied(self) -> None:
        received = Leg.dataReceived

        def count(leg: Leg, data: bytes) -> None:
            self._copied += len(data)
            received(leg, data)

        self.patch(Leg, "dataReceived", count)

    async def tearDown(self) -> None:  # type: ignore[override]
        for talker in self.talkers:
            if talker.lost is None:
                talker.reset()
        await self.until_lost(*self.talkers)
        await self.rendezvous.close()
        # That nothing is left in the reactor is what trial looks for.
        splicer = self.rendezvous.splicer
        if splicer is not None:
            held = (splicer.pipes.taken, len(splicer.watcher), len(splicer.batching))
            self.assertEqual(held, (0, 0, 0))
        self.assertEqual(descriptors().items() - self._before.items(), set())

    @property
    def splicer(self) -> Splicer:
        """The server's, if it has one."""
        return present(self.rendezvous.splicer)

    # Time passes.

    async def turn(self) -> None:
        """One turn of the reactor."""
        await turn()

    async def turns(self, count: int = 50) -> None:
        """Several turns."""
        await turns(count)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for something that changes when a client hears something."""
        done: Deferred[None] = Deferred()
        self._waiting.append((true, done))
        self._look()
        await done

    async def until_heard(self, size: int, *talkers: Talker) -> None:
        """Wait until these have got at least so many bytes."""
        await self.until(lambda: all(talker.received >= size for talker in talkers))

    async def until_ended(self, *talkers: Talker) -> None:
        """Wait until these have seen the end of the other direction."""
        await self.until(lambda: all(talker.ended for talker in talkers))

    async def until_lost(self, *talkers: Talker) -> None:
        """Wait until the connections of these are gone."""
        await self.until(lambda: all(talker.lost for talker in talkers))

    async def until_turn(self, true: Callable[[], object]) -> None:
        """Wait for something of which the clients do not hear."""
        await until(true)

    def _look(self) -> None:
        for entry in list(self._waiting):
            true, done = entry
            if true():
                self._waiting.remove(entry)
                # Not from here: the waiting code may do things that a protocol must not do.
                REACTOR.callLater(0, done.callback, None)

    # People come.

    async def talker(self, role: Role) -> Talker:
        """Somebody who has connected and asked."""
        talker = Talker(role, self._look)
        self.talkers.append(talker)
        endpoint: Any = TCP4ClientEndpoint(REACTOR, "127.0.0.1", self._port.getHost().port)
        if self.secure:
            authority = Certificate.loadPEM(self._authority.pem)
            endpoint = wrapClientTLS(optionsForClientTLS("127.0.0.1", authority), endpoint)
        await connectProtocol(endpoint, _Asking(talker))
        return talker

    async def met(self, buffer: int = 0) -> tuple[Talker, Talker]:
        """
        A dialer and an acceptor that have got their 101.

        :param buffer: how much the kernel may hold at each place on the way.
        """
        dialer, acceptor = [await self.talker(role) for role in Role]
        await self.until(lambda: dialer.joined and acceptor.joined)
        pair = self.pairs[-1]
        for each in (dialer, acceptor, pair.dialer, pair.acceptor) if buffer else ():
            sock = present(socket_of(each.transport))
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, buffer)
        return dialer, acceptor

    async def relayed(self, buffer: int = 0) -> tuple[Talker, Talker]:
        """The same, after both lines and a byte each way."""
        dialer, acceptor = await self.met(buffer)
        acceptor.say(1, line=True)
        dialer.say(1, line=True)
        await self.got(dialer, acceptor)
        return dialer, acceptor

    async def either_way(self, buffer: int = 0) -> AsyncIterator[tuple[Talker, Talker]]:
        """Such pairs, of which once the dialer is named first and once the acceptor."""
        yield await self.relayed(buffer)
        dialer, acceptor = await self.relayed(buffer)
        yield acceptor, dialer

    def other(self, talker: Talker) -> Talker:
        """Whom that one talks with."""
        index = self.talkers.index(talker)
        return self.talkers[index ^ 1]

    def moved(self, talker: Talker) -> int:
        """How many bytes of that one the server has moved, as it says."""
        pair = self.pairs[self.talkers.index(talker) // 2]
        return pair.dialer_bytes if talker.role is Role.DIALER else pair.acceptor_bytes

    async def got(self, *talkers: Talker) -> None:
        """These have got everything that was sent to them."""
        await self.until(
            lambda: all(talker.received == self.other(talker).sent for talker in talkers)
        )
        self.assert_right(*talkers)

    def assert_right(self, *talkers: Talker) -> None:
        """What these have got is what was sent, as far as it has come."""
        for talker in talkers:
            self.assertTrue(talker.heard_right(self.other(talker)), "other bytes than were sent")

    def assert_path(self) -> None:
        """The bytes, and there were many, went the way that this is about."""
        moved = sum(pair.dialer_bytes + pair.acceptor_bytes for pair in self.pairs)
        self.assertGreater(moved, MEBI)
        if self.spliced:
            self.assertLess(self._copied, moved / 2)
        else:
            self.assertGreater(self._copied, moved)  # with the lines
