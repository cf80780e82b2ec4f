"""
Secured streams that begin on the relay and move to a direct path, in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from zope.interface import implementer

from rdv._transport import paths
from rdv.addresses import AddressSpace
from rdv.client import Connection, IPathListener, move
from rdv.client.trace import Event, What
from rdv.endpoints import RendezvousServerEndpoint
from rdv.test.client.test_client_secure import LARGE, SECRET, SecureClientTestCase
from rdv.test.doubles import HalfCloseRecorder, present

#: Seconds: more than the relay waits in memory, and less than until the first SYN is repeated.
SOON = 0.2
#: Until the time for a path is up.
LIMIT = 30.0


class MoveTestCase(SecureClientTestCase):
    """Two clients whose firewalls drop what comes from outside, at first."""

    def setUp(self) -> None:
        super().setUp()
        self.rendezvous.block_direct_paths()
        self.events: list[Event] = []

    def begin(self, *options: dict[str, Any]) -> list[Connection]:
        """
        Both are connected through the relay: the dialer's side comes first.

        :param options: of both, or of each.
        """
        ours, theirs = options if len(options) == 2 else (*options, *options) or ({}, {})
        dialling = self.dial(trace=self.events.append, **ours)
        accepting = self.accept(**theirs)
        self.rendezvous.advance(SOON)
        connections = [self.successResultOf(each) for each in (dialling, accepting)]
        self.assertEqual([each.is_relay for each in connections], [True, True])
        return connections

    def open(self) -> None:
        """The firewalls are gone, and all SYNs are sent again."""
        self.rendezvous.open_direct_paths()
        self.rendezvous.advance(2)

    def assert_moved(self, connections: list[Connection]) -> None:
        """Both are connected directly, and nothing but that is open."""
        self.assertEqual([each.is_relay for each in connections], [False, False])
        self.assertFalse(any(each.may_move for each in connections))
        self.assertEqual(self.rendezvous.server.pairs, 0)
        self.assertEqual(len(self.rendezvous.leftovers()), 2)
        self.assertEqual(self.told(), ["connected", "moved"])

    def told(self) -> list[str]:
        """What the dialer's trace was told of the end."""
        ends = (What.CONNECTED, What.MOVED, What.STAYED, What.FAILED)
        return [event.what.value for event in self.events if event.what in ends]

    def why(self) -> object:
        """Why the stream has stayed."""
        self.assertEqual(self.events[-1].what, What.STAYED)
        return self.events[-1].fields["reason"]

    def close(self, connections: list[Connection], recorders: list[HalfCloseRecorder]) -> None:
        """In good order."""
        for each in connections:
            each.loseConnection()
        self.rendezvous.flush()
        self.assertTrue(all(each.lost_cleanly for each in recorders))


class MovedTests(MoveTestCase):
    """A direct path comes later."""

    def test_in_use(self) -> None:
        """
        Both directions go on without a loss, whoever may still write. The path is that on which we
        write, or did.
        """
        for ended in (False, True):
            self.setUp()
            connections = self.begin()
            recorders = self.attach(connections)
            for number in range(40):
                if number == 20:
                    self.rendezvous.open_direct_paths()
                for each in connections[ended and number > 10 :]:
                    each.write(LARGE[number * 1000 : number * 1000 + 1000])
                if ended and number == 10:
                    connections[0].loseWriteConnection()
                self.rendezvous.advance(0.1)
            self.assert_moved(connections)
            peers = [each.getPeer().host == str(each.peer_address.ip) for each in connections]
            self.assertEqual(peers, [not ended, True])
            self.assertTrue(recorders[0].received == LARGE[:40_000])
            self.assertTrue(recorders[1].received == LARGE[: 11_000 if ended else 40_000])
            self.close(connections, recorders)

    def test_idle(self) -> None:
        """With nothing said, and even before there is a protocol."""
        for attached in (True, False):
            self.setUp()
            connections = self.begin()
            recorders = self.attach(connections) if attached else []
            self.open()
            self.assertEqual([each.is_relay for each in connections], [False, False])
            recorders = recorders or self.attach(connections)
            self.rendezvous.flush()
            self.assert_moved(connections)
            connections[0].write(b"question")
            self.rendezvous.flush()
            self.assertEqual(recorders[1].received, b"question")
            self.close(connections, recorders)

    def test_unsent(self) -> None:
        """As long as it may move, and no longer, the system takes little in advance."""
        limits: list[int] = []
        self.patch(paths, "limit_unsent", lambda end, size: limits.append(size))
        connections = self.begin()
        self.assertEqual(limits, [1 << 17] * 2)
        self.open()
        self.assertEqual(limits[2:], [0] * 2)
        self.close(connections, self.attach(connections))

    def test_exporter(self) -> None:
        """It is that of the stream, whatever path it is on."""
        connections = self.begin()
        before = {each.exporter("test", 20) for each in connections}
        self.open()
        after = {each.exporter("test", 20) for each in connections}
        self.assertEqual((len(before), after), (1, before))
        self.close(connections, self.attach(connections))

    def test_told(self) -> None:
        """A protocol that wants to know."""

        @implementer(IPathListener)
        class Listening(HalfCloseRecorder):
            told = 0

            def path_changed(self) -> None:
                self.told += 1

        connections = self.begin()
        recorders = [Listening(), Listening()]
        for each, recorder in zip(connections, recorders, strict=True):
            each.attach(recorder)
        self.open()
        self.assertEqual([recorder.told for recorder in recorders], [1, 1])
        self.close(connections, list(recorders))

    def test_direct_in_time(self) -> None:
        """A direct path within the relay's patience is used from the start."""
        self.rendezvous.open_direct_paths()
        connections = self.pair(trace=self.events.append)
        self.assertEqual([each.is_relay for each in connections], [False, False])
        self.assertFalse(any(each.may_move for each in connections))
        self.assertEqual(self.told(), ["connected", "connected"])
        fields = [event.fields for event in self.events if event.what is What.CONNECTED]
        self.assertEqual([each["moves"] for each in fields], [False, False])
        self.close(connections, self.attach(connections))

    def test_own_rule(self) -> None:
        """One of the application's that takes the relay at once."""
        self.rendezvous.open_direct_paths()
        connections = self.begin({"chooser": lambda candidate: 0.0 if candidate.is_relay else 1.0})
        recorders = self.attach(connections)
        self.rendezvous.advance(1)
        self.assert_moved(connections)
        self.close(connections, recorders)

    def test_broken_afterwards(self) -> None:
        """There is no way back: both are told."""
        connections = self.begin()
        recorders = self.attach(connections)
        self.open()
        self.rendezvous.break_connections()
        self.rendezvous.flush()
        self.assertFalse(any(recorder.lost_cleanly for recorder in recorders))
        self.assertTrue(all(present(recorder.lost) for recorder in recorders))


class StayedTests(MoveTestCase):
    """No direct path opens, or it is no longer of use."""

    def test_time_is_up(self) -> None:
        """The stream goes on, and nothing else is left."""
        connections = self.begin()
        recorders = self.attach(connections)
        self.rendezvous.advance(LIMIT)
        self.assertEqual(self.told(), ["connected", "stayed"])
        self.assertEqual(self.why(), "no direct path opened in time")
        self.assertEqual(len(self.rendezvous.leftovers()), 2)
        self.assertFalse(any(each.may_move for each in connections))
        self.open()
        connections[0].write(LARGE)
        self.rendezvous.flush()
        self.assertTrue(recorders[1].received == LARGE)
        self.assertEqual([each.is_relay for each in connections], [True, True])
        self.close(connections, recorders)

    def test_many(self) -> None:
        """Of one client only so many may move at a time, those that have begun last."""
        self.patch(move, "_MOST", 2)
        dialer: Any = self.rendezvous.client(trace=self.events.append)
        acceptor: Any = self.rendezvous.client()
        streams = []
        for _ in range(3):
            both = [each(self.rendezvous.url, SECRET) for each in (dialer.dial, acceptor.accept)]
            self.rendezvous.advance(SOON)
            streams.append([self.successResultOf(each) for each in both])
        may_move = [[each.may_move for each in stream] for stream in streams]
        self.assertEqual(may_move, [[False] * 2, [True] * 2, [True] * 2])
        why = [event.fields["reason"] for event in self.events if event.what is What.STAYED]
        self.assertEqual(why, ["too many other streams are trying to move"])
        self.open()
        moved = [[not each.is_relay for each in stream] for stream in streams]
        self.assertEqual(moved, may_move)
        for stream in streams:
            self.close(stream, self.attach(stream))
        self.assertEqual(self.rendezvous.leftovers(), [])

    def test_over(self) -> None:
        """It ends with the stream, however that ends: at once, on both sides."""
        for end in ("loseConnection", "abortConnection", "break"):
            self.setUp()
            connections = self.begin()
            recorders = self.attach(connections)
            if end == "break":
                self.rendezvous.break_connections()
            else:
                for each in connections:
                    getattr(each, end)()
            self.rendezvous.flush()
            self.assertEqual(self.rendezvous.leftovers(), [])
            self.assertEqual(self.told(), ["connected", "stayed"])
            self.assertEqual(self.why(), "there is no data left to move")
            self.assertEqual([each.lost_cleanly for each in recorders], [end[0] == "l"] * 2)

    def test_both_ended(self) -> None:
        """Both have said all, and one has still to take it: there is nothing to move for that."""
        connections = self.begin()
        recorders = self.attach(connections)
        connections[1].pauseProducing()
        for each in connections:
            each.loseWriteConnection()
        self.rendezvous.flush()
        self.assertEqual(self.told(), ["connected", "stayed"])
        self.assertIsNone(recorders[1].lost)
        connections[1].resumeProducing()
        self.rendezvous.flush()
        self.assertTrue(all(each.lost_cleanly for each in recorders))

    def test_discarded(self) -> None:
        """Nobody wants it: that is over when all of it is closed."""
        connections = self.begin()
        gone: list[Deferred[None]] = [each.discard() for each in connections]
        self.rendezvous.flush()
        for each in gone:
            self.assertIsNone(self.successResultOf(each))

    def test_unwanted(self) -> None:
        """One of the two does not want to, or has no use for direct paths: two seconds, as ever."""
        for ours, theirs in (({"move": False}, {}), ({}, {"move": False})):
            self.setUp()
            connecting = [self.dial(trace=self.events.append, **ours), self.accept(**theirs)]
            self.rendezvous.advance(1.9)
            self.assertNoResult(connecting[0])
            self.rendezvous.advance(0.2)
            connections = [self.successResultOf(each) for each in connecting]
            self.assertFalse(any(each.may_move for each in connections))
            self.assertEqual(len(self.rendezvous.leftovers()), 2)
            self.assertEqual(self.told(), ["connected"])
            self.close(connections, self.attach(connections))

    def test_relay_forced(self) -> None:
        """By one of the two: the other one hears of it, and does not wait."""
        for ours, theirs in (
            ({"spaces": AddressSpace.NONE}, {}),
            ({}, {"spaces": AddressSpace.NONE}),
        ):
            self.setUp()
            self.rendezvous.open_direct_paths()
            connecting = [self.dial(**ours), self.accept(**theirs)]
            self.rendezvous.advance(2.1)
            connections = [self.successResultOf(each) for each in connecting]
            self.assertEqual([each.is_relay for each in connections], [True, True])
            self.assertFalse(any(each.may_move for each in connections))
            self.assertEqual(len(self.rendezvous.leftovers()), 2)
            self.close(connections, self.attach(connections))

    def test_plain(self) -> None:
        """A plain stream waits, and does not move."""
        connecting = [self.dial("plain"), self.accept("plain")]
        self.rendezvous.advance(1.9)
        self.assertNoResult(connecting[0])
        self.rendezvous.advance(0.2)
        connections = [self.successResultOf(each) for each in connecting]
        self.assertEqual(len(self.rendezvous.leftovers()), 2)
        self.close(connections, self.attach(connections))

    def test_wrong_type(self) -> None:
        """It is a switch."""
        self.assertRaises(TypeError, self.rendezvous.client, move="yes")


class ListenerTests(MoveTestCase):
    """An endpoint that keeps accepting."""

    def test_many(self) -> None:
        """
        Streams that may still move are delivered, and in nobody's way; they move when the port has
        stopped.
        """
        built: list[HalfCloseRecorder] = []

        class Built(HalfCloseRecorder):
            def __init__(self) -> None:
                super().__init__()
                built.append(self)

        factory: Any = Factory.forProtocol(Built)
        factory.noisy = False
        endpoint = RendezvousServerEndpoint(
            self.rendezvous.client(), self.rendezvous.url, SECRET.reveal()
        )
        port = self.successResultOf(endpoint.listen(factory))
        dialling = []
        for _ in range(5):
            self.rendezvous.advance(0.1)
            dialling.append(self.dial(trace=self.events.append))
        self.rendezvous.advance(1)
        connections = [self.successResultOf(each) for each in dialling]
        self.assertTrue(all(each.may_move for each in connections))
        self.assertEqual(len(built), 5)
        stopped = port.stopListening()
        self.rendezvous.flush()
        self.assertIsNone(self.successResultOf(stopped))
        self.open()
        self.assertFalse(any(each.is_relay for each in connections))
        recorders = self.attach(connections)
        for number, each in enumerate(connections):
            each.write(b"%d" % number)
        self.rendezvous.flush()
        self.assertEqual(sorted(each.received for each in built), [b"%d" % n for n in range(5)])
        for each in connections:
            each.loseConnection()
        for recorder in built:
            present(recorder.transport).loseConnection()
        self.rendezvous.flush()
        self.assertTrue(all(each.lost_cleanly for each in (*recorders, *built)))
