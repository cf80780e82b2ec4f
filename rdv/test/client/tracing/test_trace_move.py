"""
The events of a stream that may move, in any order.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address
from rdv.client.trace import Event, What
from rdv.client.tracing.attempt_trace import AttemptTrace
from rdv.test.client.test_move import MoveTestCase
from rdv.wire import Role

SERVER, PEER, LAN = map(parse_address, ("198.51.100.1:443", "203.0.113.9:41000", "192.168.1.7:80"))


class MoveTests(SynchronousTestCase):
    """The relay has been chosen; two other ways are left."""

    def setUp(self) -> None:
        self.events: list[Event] = []
        self.trace = AttemptTrace(Clock(), 1, (self.events.append,))
        relay = self.trace.way("relay", SERVER)
        self.far = self.trace.way("dial", PEER)
        self.near = self.trace.way("dial", LAN)
        relay.won()

    def told(self) -> list[tuple[What, object]]:
        """What has happened since the last time, and of which way."""
        told = [(event.what, event.fields.get("way")) for event in self.events]
        self.events.clear()
        return told

    def connected(self, *, moves: bool = True) -> None:
        self.trace.connected(True, SERVER, moves=moves)

    def test_stands(self) -> None:
        """Where nothing can move, CONNECTED ends every way, and neither of the two is told."""
        self.told()
        self.connected(moves=False)
        self.assertIs(self.events[-1].fields["moves"], False)
        self.trace.moved(self.far, PEER)
        self.trace.stayed("the stream is over")
        self.assertEqual(self.told(), [(What.LOST, 2), (What.LOST, 3), (What.CONNECTED, 1)])

    def test_goes_on(self) -> None:
        """CONNECTED ends no way when the stream may move."""
        self.told()
        self.connected()
        self.assertEqual(
            dict(self.events[-1].fields),
            {"path": "relay", "peer": SERVER, "way": 1, "moves": True},
        )
        self.far.dialled()
        self.assertEqual(self.told(), [(What.CONNECTED, 1), (What.DIALLED, 2)])

    def test_moved(self) -> None:
        """One way is chosen, the others are lost to it, and then it is told; once."""
        self.connected()
        self.told()
        self.trace.moved(self.far, PEER)
        self.assertEqual(dict(self.events[-1].fields), {"way": 2, "peer": PEER})
        self.trace.stayed("the stream is over")
        self.trace.moved(self.near, LAN)
        self.far.heard("HELLO")
        self.assertEqual(self.told(), [(What.CHOSEN, 2), (What.LOST, 3), (What.MOVED, 2)])

    def test_moved_to_the_chosen(self) -> None:
        """A way may have said itself that it has won."""
        self.connected()
        self.told()
        self.far.won()
        self.trace.moved(self.far, PEER)
        self.assertEqual(self.told(), [(What.CHOSEN, 2), (What.LOST, 3), (What.MOVED, 2)])

    def test_lost_to_another(self) -> None:
        """Who was ready lost to the way that the stream moved to, not to the relay."""
        self.connected()
        self.near.stands(None)
        self.near.heard("HELLO")
        self.trace.moved(self.far, PEER)
        (reason,) = [e.fields["reason"] for e in self.events if e.what is What.LOST]
        self.assertEqual(reason, "another one was faster")

    def test_stayed(self) -> None:
        """Each way says what it lacked, and then it is told why there is no further try; once."""
        self.connected()
        self.told()
        self.near.dialled()
        self.told()
        self.trace.stayed("the stream is over")
        self.assertEqual(dict(self.events[-1].fields), {"reason": "the stream is over"})
        lost = [e.fields["reason"] for e in self.events if e.what is What.LOST]
        self.assertEqual(lost, ["it had no result", "no answer"])
        self.trace.moved(self.far, PEER)
        self.trace.stayed("again")
        self.assertEqual(self.told(), [(What.LOST, 2), (What.LOST, 3), (What.STAYED, None)])


class AttemptTests(MoveTestCase):
    """Both sides of a stream that moves."""

    def test_ways(self) -> None:
        """The relay, then one way, is chosen; each way is over before MOVED is told."""
        accepted: list[Event] = []
        connections = self.begin({}, {"trace": accepted.append})
        recorders = self.attach(connections)
        self.open()
        self.assert_moved(connections)
        for events in (self.events, accepted):
            self.assertEqual(events[-1].what, What.MOVED)
            chosen = [e.fields["way"] for e in events if e.what is What.CHOSEN]
            self.assertEqual(chosen, [1, events[-1].fields["way"]])
            lost = [e.fields["way"] for e in events if e.what is What.LOST]
            ways = [e.fields["way"] for e in events if e.what is What.WAY]
            self.assertEqual(sorted([*chosen, *lost]), sorted(ways))
            behind = [e.what for e in events if e.what in (What.CONNECTED, What.LOST, What.MOVED)]
            self.assertEqual(behind[0], What.CONNECTED)
        self.close(connections, recorders)


class LeftTests(SynchronousTestCase):
    """An acceptor whose dialer ends the relay because it has a direct path."""

    def test_relay(self) -> None:
        """It may do so before we have chosen that path. Without one we do not know why."""
        for confirmed, reason in (
            (True, "the peer chose a direct path"),
            (False, "the other side closed it"),
        ):
            events: list[Event] = []
            trace = AttemptTrace(Clock(), 1, (events.append,), Role.ACCEPTOR)
            relay, direct = trace.way("relay", SERVER), trace.way("dial", PEER)
            if confirmed:
                direct.heard("CONFIRM")
            relay.lost(ConnectionDone())
            self.assertEqual(events[-1].fields["reason"], reason)
