"""
Incoming connections, and the ones that are made for them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rdv._flows.joint import PlainLeg
from rdv._stdio.console import Console
from rdv.addresses import parse_address
from rdv.client.stream.connection import Connection
from rdv.errors import NoConnection
from rdv.forwarding.forwarder import Forwarder
from rdv.test.doubles import HalfCloseRecorder, MemoryTransport, ends, present
from rdv.test.endpoints.doubles import connection


class Told(Console):
    """Records events, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[str] = []

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        self.events.append((event, fields))
        if text:
            self.lines.append(text)

    @property
    def names(self) -> list[str]:
        """Of the events."""
        return [name for name, _ in self.events]


@implementer(IStreamClientEndpoint)
class Endpoint:
    """
    Connects when the test wants it to.

    :ivar attempts: for each, what it is to connect, and its result.
    :ivar cancelled: how many were.
    """

    def __init__(self) -> None:
        self.attempts: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []
        self.cancelled = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        result: Deferred[IProtocol] = Deferred(self._cancel)
        self.attempts.append((protocolFactory, result))
        return result

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        self.cancelled += 1


class ForwarderTestCase(SynchronousTestCase):
    """A forwarder for peers or for local programs."""

    peer: Connection

    def forwarder(self, *, target: str | None = None, most: int = 2) -> Forwarder:
        """Of its own endpoint."""
        self.clock = Clock()
        self.told = Told()
        self.endpoint = Endpoint()
        return Forwarder(
            self.clock, self.endpoint, self.told, target=target, most=most, detailed=True
        )

    def come(self, forwarder: Forwarder) -> tuple[MemoryTransport, HalfCloseRecorder]:
        """A local program comes: our end, and what it gets."""
        ours, its = ends(self.clock)
        local = HalfCloseRecorder()
        its.protocol = local
        local.makeConnection(its)
        ours.protocol = forwarder.buildProtocol(None)
        ours.protocol.makeConnection(ours)
        return ours, local

    def connects(self, number: int = 0) -> Any:
        """
        The endpoint has a connection to a peer; the transport below it. The connection itself is
        :attr:`peer` then.
        """
        factory, result = self.endpoint.attempts[number]
        leg = factory.buildProtocol(None)  # type: ignore[arg-type]
        assert isinstance(leg, PlainLeg)
        self.peer, below = connection(self.clock)
        self.peer.attach(leg)
        result.callback(leg)
        return below

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(10):
            self.clock.advance(0)


class LocalTests(ForwarderTestCase):
    """Local connections arrive."""

    def test_joined(self) -> None:
        """It is told when it stands, and how it has ended."""
        forwarder = self.forwarder()
        ours, local = self.come(forwarder)
        self.clock.advance(0.25)
        self.assertTrue(ours.paused)
        below = self.connects()
        fields = {"forward": 1, "path": "p2p", "secure": False, "peer": "192.0.2.1:40112"}
        self.assertEqual(self.told.events, [("connected", {**fields, "milliseconds": 250})])
        self.assertEqual(self.told.lines, ["CONNECTED 1: p2p 192.0.2.1:40112, 250ms"])
        present(local.transport).write(b"hello")
        self.settle()
        self.assertEqual(below.value(), b"hello")
        below.lose(ConnectionLost())
        self.settle()
        self.assertFalse(local.lost_cleanly)
        self.assertEqual(forwarder.running, 0)
        self.assertEqual(
            self.told.lines[1],
            "ENDED 1: 5 bytes sent, 0 received; broken: the peer broke the connection",
        )

    def test_moved(self) -> None:
        """That one goes another way is told with its number, and since when."""
        forwarder = self.forwarder()
        for number in range(2):
            self.come(forwarder)
            self.connects(number)
            self.clock.advance(0.5)
        self.peer.peer_address = parse_address("203.0.113.9:41000")
        self.peer._receiver.path_changed()
        self.clock.advance(0)
        fields = {"forward": 2, "path": "p2p", "peer": "203.0.113.9:41000", "milliseconds": 500}
        self.assertEqual(self.told.events[2:], [("moved", fields)])
        self.assertEqual(self.told.lines[2:], ["MOVED 2: p2p 203.0.113.9:41000, 500ms"])

    def test_no_peer(self) -> None:
        """It is told, and the local program sees a reset. Others are not concerned."""
        forwarder = self.forwarder()
        _, local = self.come(forwarder)
        _, other = self.come(forwarder)
        self.endpoint.attempts[0][1].errback(NoConnection("nobody is there"))
        self.settle()
        self.assertIsNotNone(local.lost)
        self.assertFalse(local.lost_cleanly)
        self.assertEqual(self.told.names, ["refused", "ended"])
        self.assertEqual(self.told.lines[0], "REFUSED 1: nobody is there")
        self.assertIsNone(other.lost)
        self.assertEqual(forwarder.running, 1)
        self.connects(1)
        self.assertEqual(self.told.names[2:], ["connected"])

    def test_mistake(self) -> None:
        """One of ours is logged, and the local connection is reset like any other."""
        forwarder = self.forwarder()
        _, local = self.come(forwarder)
        self.endpoint.attempts[0][1].errback(ZeroDivisionError())
        self.settle()
        self.assertFalse(local.lost_cleanly)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.told.names, ["refused", "ended"])
        self.assertEqual(forwarder.running, 0)

    def test_lost_while_connecting(self) -> None:
        """Nobody needs that connection any more, and that is no failure."""
        forwarder = self.forwarder()
        ours, _ = self.come(forwarder)
        ours.lose(ConnectionLost())
        self.assertEqual(self.endpoint.cancelled, 1)
        self.assertEqual(self.told.names, ["ended"])
        self.assertEqual(forwarder.running, 0)

    def test_bound(self) -> None:
        """One too many is reset, and told of; when one has ended there is room again."""
        forwarder = self.forwarder(most=1)
        first, _ = self.come(forwarder)
        _, second = self.come(forwarder)
        self.settle()
        self.assertFalse(second.lost_cleanly)
        self.assertEqual(self.told.events, [("full", {"most": 1})])
        self.assertEqual(len(self.endpoint.attempts), 1)
        first.lose(ConnectionLost())
        self.come(forwarder)
        self.assertEqual(len(self.endpoint.attempts), 2)

    def test_close(self) -> None:
        """What is under way is cancelled, what stands is reset, and no more are taken."""
        forwarder = self.forwarder()
        _, local = self.come(forwarder)
        _, waiting = self.come(forwarder)
        below = self.connects()
        closed = forwarder.close()
        self.assertNoResult(closed)
        self.settle()
        self.assertEqual((below.closing, self.endpoint.cancelled), ("abort", 1))
        self.assertNoResult(closed)
        below.lose(ConnectionLost())
        self.successResultOf(closed)
        _, late = self.come(forwarder)
        self.settle()
        for recorder in (local, waiting, late):
            self.assertIsNotNone(recorder.lost)
            self.assertFalse(recorder.lost_cleanly)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNotIn("refused", self.told.names)

    def test_idle(self) -> None:
        """It waits for those that there are; any number may wait, and wait no longer."""
        forwarder = self.forwarder()
        self.successResultOf(forwarder.idle())
        ours, _ = self.come(forwarder)
        waiting, another = forwarder.idle(), forwarder.idle()
        another.addErrback(lambda _: None)
        another.cancel()
        self.assertNoResult(waiting)
        ours.lose(ConnectionLost())
        self.successResultOf(waiting)


class PeerTests(ForwarderTestCase):
    """Peers arrive."""

    def test_joined(self) -> None:
        """
        With what the endpoint leads to; a peer is not read before. Which path it goes is told when
        it is joined, and not before that.
        """
        forwarder = self.forwarder(target="there")
        peer, below = connection(self.clock)
        peer.attach(forwarder.buildProtocol(None))
        self.assertEqual(below.producerState, "paused")
        peer._receiver.path_changed()
        self.clock.advance(0)
        ours, its = ends(self.clock)
        target = HalfCloseRecorder()
        its.protocol = target
        target.makeConnection(its)
        factory, result = self.endpoint.attempts[0]
        leg = present(factory.buildProtocol(None))  # type: ignore[arg-type]
        ours.protocol = leg
        leg.makeConnection(ours)
        result.callback(leg)
        self.assertEqual(self.told.names, ["connected"])
        below.deliver(b"hello")
        self.settle()
        self.assertEqual(target.received, b"hello")

    def test_refused(self) -> None:
        """The peer is reset, and a line says what refused."""
        forwarder = self.forwarder(target="there")
        peer, below = connection()
        peer.attach(forwarder.buildProtocol(None))
        self.endpoint.attempts[0][1].errback(DNSLookupError())
        self.assertEqual(below.closing, "abort")
        self.assertRegex(
            self.told.lines[0], "^REFUSED 1: cannot connect to there: the name does not resolve$"
        )
