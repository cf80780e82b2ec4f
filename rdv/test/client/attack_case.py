"""
A hostile server and other hosts that attack the clients of a secured stream, in memory.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv._secure.exchange import SecureAttempt
from rdv._secure.handshake import MESSAGE_SIZE
from rdv.addresses import Address
from rdv.client import Client, Connection
from rdv.test.doubles import HalfCloseRecorder, Recorder
from rdv.testing import MemoryRendezvous
from rdv.testing.host import Host
from rdv.wire import Role, hello_line

SECRET = Secret(bytes(range(16)))
OTHER = Secret(bytes(16))
HELLO = hello_line(SECRET.direct_token)
RANDOM = bytes(range(100, 100 + MESSAGE_SIZE))


class Pipe(Recorder):
    """
    Forwards what it receives to another connection.

    :ivar limit: the maximum number of bytes to forward; the rest is dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to: Pipe | None = None
        self.limit: int | None = None
        self._passed = 0

    def join(self, other: Pipe) -> None:
        """Pass on what has come, and what comes, both ways."""
        self.to, other.to = other, self
        for each, target in ((self, other), (other, self)):
            for piece in each.pieces:
                target.say(each._allowed(piece))

    def say(self, data: bytes) -> None:
        """Write."""
        cast(ITransport, self.transport).write(data)

    def close(self) -> None:
        """End."""
        cast(ITransport, self.transport).loseConnection()

    def _allowed(self, data: bytes) -> bytes:
        if self.limit is not None:
            data = data[: max(0, self.limit - self._passed)]
        self._passed += len(data)
        return data

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self.to is not None:
            self.to.say(self._allowed(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self.to is not None and self.to.lost is None:
            self.to.close()


class AttackTestCase(SynchronousTestCase):
    """
    A network in which the test is the server.

    :ivar asked: the connections of requests, in order.
    """

    def setUp(self) -> None:
        self.rendezvous = MemoryRendezvous()
        self.addCleanup(self.rendezvous.assert_nothing_left)
        self.addCleanup(self._vanish)
        self.asked: list[Pipe] = []
        self.evil = self.rendezvous.host()
        self.evil.listenTCP(80, self.factory(self._asked))
        self.url = f"http://{self.evil.ip}/rdv"
        self.flush, self.advance = self.rendezvous.flush, self.rendezvous.advance

    def _vanish(self) -> None:
        for transport in self.evil.transports:
            transport.abortConnection()
        for port in list(self.evil.ports.values()):
            port.stopListening()

    def factory(self, made: Any) -> Any:
        """Of protocols that ``made`` returns."""
        factory: Any = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda address: made()
        return factory

    def _asked(self) -> Pipe:
        self.asked.append(Pipe())
        return self.asked[-1]

    def ask(self, call: str, secret: Secret = SECRET) -> tuple[Host, Pipe, Deferred[Connection]]:
        """Somebody asks our server: where it is, the server's side of its relay, and the result."""
        host = self.rendezvous.host()
        client: Any = Client(cast(Any, host))
        asking = getattr(client, call)(self.url, secret)
        self.flush()
        relay = self.asked[-1]
        relay.pieces.clear()
        return host, relay, asking

    def address(self, host: Host) -> Address:
        """Where it listens."""
        return Address(host.ip, next(iter(host.ports)))

    def stranger(self, *, says: bytes) -> tuple[Address, list[Pipe]]:
        """A host whose port says that to whoever comes, and the connections to it."""
        came: list[Pipe] = []

        def made() -> Pipe:
            class Saying(Pipe):
                def connectionMade(self) -> None:
                    self.say(says)

            came.append(Saying())
            return came[-1]

        self.evil.listenTCP(len(self.evil.ports) + 2000, self.factory(made))
        return Address(self.evil.ip, max(self.evil.ports)), came

    def visit(self, address: Address) -> Pipe:
        """Connect to it."""
        pipe = Pipe()
        self.evil.connectTCP(str(address.ip), address.port, self.factory(lambda: pipe))
        self.flush()
        return pipe

    def recorded(self, secret: Secret = SECRET, *, is_relay: bool = False) -> bytes:
        """HELLO and the message of an attempt that is over."""
        return SecureAttempt(Role.ACCEPTOR, secret).exchange(is_relay=is_relay).hello

    def attach(self, connecting: Deferred[Connection]) -> tuple[Connection, HalfCloseRecorder]:
        """A protocol for one that is connected."""
        connection = self.successResultOf(connecting)
        recorder = HalfCloseRecorder()
        connection.attach(recorder)
        return connection, recorder

    def exchange(self, dialing: Deferred[Connection], accepting: Deferred[Connection]) -> bool:
        """The two are connected with each other, secured. Whether that is through the relay."""
        (dialer, ours), (acceptor, theirs) = self.attach(dialing), self.attach(accepting)
        dialer.write(b"question")
        acceptor.write(b"answer")
        self.flush()
        self.assertEqual((theirs.received, ours.received), (b"question", b"answer"))
        self.assertTrue(dialer.is_secure and acceptor.is_secure)
        self.assertEqual(dialer.is_relay, acceptor.is_relay)
        for each in (dialer, acceptor):
            each.loseConnection()
        self.flush()
        self.assertTrue(ours.lost_cleanly and theirs.lost_cleanly)
        return dialer.is_relay
