"""
Which protocols are notified when the other side of a connection has vanished.

The network in memory has no loss, so the kernel's readings come from the test.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.tcp import Connection as TCPConnection
from twisted.python.failure import Failure

from rdv._flows import joint as joint_module
from rdv._system.sockets import bottom
from rdv._system.tcp_info import Reading
from rdv._transport import liveness
from rdv._transport.liveness import PeerVanished
from rdv.client import Connection
from rdv.client.stream import probation, receiver
from rdv.errors import ServerRefused, ServerUnreachable
from rdv.forwarding import forward as forward_module
from rdv.server import Outcome
from rdv.test.client.stream.probation_case import HELLO, ProbationTestCase
from rdv.test.doubles import Wire
from rdv.test.forwarding.test_forward import ForwardTestCase
from rdv.test.testing.memory_case import MemoryTestCase
from rdv.testing.transport import MemoryTransport

FINE = Reading(0, 0, 1448, 0, 0, 1, 1, 65160)
GONE = Reading(9, 0, 1448, 48, 10, 1, 1, 65160)


class VanishedTestCase(MemoryTestCase):
    """
    A dialer and an acceptor.

    :ivar says: the readings of connections that are not fine.
    """

    relay = False

    def setUp(self) -> None:
        super().setUp()
        self.says: dict[object, Reading] = {}
        self.patch(liveness, "reading", self.read)
        self.patch(liveness, "is_told", lambda connection: True)
        self.dialer, self.acceptor = self.rendezvous.pair(relay=self.relay)
        self.here, self.there = self.attach(self.dialer, self.acceptor)

    def read(self, transport: object) -> Reading | None:
        """What the kernel says."""
        connection = bottom(transport)
        assert isinstance(connection, TCPConnection)
        return self.says.get(connection, FINE)

    def vanish(self, *transports: object) -> None:
        """The other sides of these do."""
        for transport in transports:
            self.says[bottom(transport)] = GONE
        self.rendezvous.advance(liveness.PATIENCE + 2 * liveness.INTERVAL)

    def assert_lost(self, wire: Wire, kind: type[Exception]) -> None:
        """With a loss of that kind."""
        self.assertIs(type(self.reason(wire).value), kind)

    def reason(self, wire: Wire) -> Failure:
        """Why its connection was lost."""
        assert wire.reason is not None
        return wire.reason


class DirectTests(VanishedTestCase):
    """Nothing between the two."""

    def test_peer(self) -> None:
        self.vanish(self.dialer)
        self.assert_lost(self.here, PeerVanished)
        self.assert_lost(self.there, ConnectionLost)
        self.assertEqual(liveness._watches, {})

    def test_it_stands(self) -> None:
        """Until it is closed in good order: no look is left then."""
        self.rendezvous.advance(3600)
        self.assertIsNone(self.here.reason)
        self.dialer.loseConnection()
        self.rendezvous.flush()
        self.assertEqual(liveness._watches, {})

    def test_held_loss(self) -> None:
        """A protocol that comes late is told, too."""
        dialer, acceptor = self.rendezvous.pair("another")
        self.vanish(dialer)
        late = Wire()
        dialer.attach(late)
        self.assert_lost(late, PeerVanished)
        self.close(self.dialer, acceptor)


class RelayedTests(VanishedTestCase):
    """The server is in between."""

    relay = True

    def at_server(self, connection: Connection) -> object:
        """The server's end of it."""
        transports: Iterable[MemoryTransport] = self.rendezvous._server_host.transports
        return next(each for each in transports if each.getPeer() == connection.getHost())

    def assert_cut(self) -> None:
        """The server has forgotten them, and counts them as what they have been."""
        server = self.rendezvous.server
        self.assertEqual((server.pairs, dict(server.outcomes)), (0, {Outcome.RELAYED: 1}))
        self.assertEqual(liveness._watches, {})

    def test_noticed_by_the_server(self) -> None:
        """The other one gets a reset."""
        self.vanish(self.at_server(self.acceptor))
        for wire in self.here, self.there:
            self.assert_lost(wire, ConnectionLost)
        self.assert_cut()

    def test_noticed_by_a_client(self) -> None:
        self.vanish(self.acceptor)
        self.assert_lost(self.there, PeerVanished)
        self.assert_lost(self.here, ConnectionLost)
        self.assert_cut()

    def test_both_at_once(self) -> None:
        self.vanish(self.at_server(self.acceptor), self.at_server(self.dialer))
        self.assert_cut()


class ServerTests(MemoryTestCase):
    """The server, while a client waits there for its partner."""

    def setUp(self) -> None:
        super().setUp()
        self.kernel = FINE
        self.patch(liveness, "reading", lambda transport: self.kernel)
        self.patch(liveness, "is_told", lambda connection: True)

    def accept(self) -> Deferred[Connection]:
        """An attempt whose time does not end."""
        waiting = self.rendezvous.client().accept(self.url, "token", timeout=None)
        self.rendezvous.flush()
        self.assertNoResult(waiting)
        return waiting

    def test_request_is_not_acknowledged(self) -> None:
        waiting = self.accept()
        self.kernel = GONE
        self.rendezvous.advance(liveness.PATIENCE + 2 * liveness.INTERVAL)
        error = self.failureResultOf(waiting, ServerUnreachable).value
        self.assertIn("the other side stopped responding", str(error))
        self.assertEqual(liveness._watches, {})

    def test_not_vanished(self) -> None:
        """Nobody comes, or the server refuses: no look is left."""
        waiting = self.accept()
        self.rendezvous.advance(2 * liveness.PATIENCE)
        self.assertNoResult(waiting)
        waiting.cancel()
        self.rendezvous.flush()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(liveness._watches, {})
        self.rendezvous.refuse(403, "no")
        waiting = self.rendezvous.client().accept(self.url, "token", timeout=None)
        self.rendezvous.flush()
        self.failureResultOf(waiting, ServerRefused)
        self.assertEqual(liveness._watches, {})


class ReplacedTests(ProbationTestCase):
    """A direct path that proves dead."""

    def setUp(self) -> None:
        self.watched: set[object] = set()
        for module in (receiver, probation):
            self.patch(module, "watch", lambda _, each: self.watched.add(each))
            self.patch(module, "unwatch", lambda _, each: self.watched.discard(each))
        super().setUp()

    def test_the_relay_takes_its_place(self) -> None:
        for lost in (False, True):
            self.watched.clear()
            self.begin(relay_ready=False)
            self.assertEqual(self.watched, {self.direct.near})
            if lost:
                self.direct.lose()
                self.assertEqual(self.watched, set())
            self.clock.advance(5)
            self.relay.deliver(HELLO)
            self.assert_relayed()
            self.assertEqual(self.watched, {self.relay.near})
            self.relay.lose()
            self.assertEqual(self.watched, set())


class ForwardTests(ForwardTestCase):
    """A forward: the local program may be on another host."""

    def test_local(self) -> None:
        """The connection to the peer sees to itself."""
        watched: set[object] = set()
        self.patch(forward_module, "watch", lambda _, each: watched.add(each))
        self.patch(joint_module, "unwatch", lambda _, each: watched.discard(each))
        self.both_come()
        self.assertEqual(watched, {self.near})
        self.near.lose(PeerVanished())
        self.settle()
        self.assert_reset(self.peer)
        self.assert_done("the other side stopped responding")
        self.assertEqual(watched, set())
