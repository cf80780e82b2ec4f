"""
Whether the other side of a connection has vanished: from what the kernel reports; and which
protocol is notified.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.sockets import KEEPALIVE_COUNT, KEEPALIVE_INTERVAL, bottom
from rdv._system.tcp_info import Reading
from rdv._transport import liveness
from rdv._transport.liveness import INTERVAL, PATIENCE, PeerVanished, has_vanished, unwatch, watch
from rdv.test.client.doubles import ByteTransport
from rdv.test.server.meeting.held_case import Above

#: Readings of Linux 6.18, by the seconds since the other side vanished, beginning with the last one
#: before that. Pauses between two retries were at most 30 s unless stated otherwise.
VANISHED = {
    "while bytes were in flight": {
        0: Reading(0, 0, 1448, 0, 0, 1622017, 103, 113664),
        95: Reading(9, 0, 1448, 48, 10, 1622017, 103, 113664),
        120: Reading(10, 0, 1448, 48, 11, 1622017, 103, 113664),
    },
    "soon after it had no room": {
        0: Reading(0, 0, 1448, 0, 5, 126977, 16, 0),
        90: Reading(0, 4, 1448, 0, 5, 126977, 16, 0),
        115: Reading(0, 5, 1448, 0, 5, 126977, 16, 0),
    },
    "long after it had no room": {
        0: Reading(0, 0, 1448, 0, 5, 126977, 23, 0),
        67: Reading(0, 2, 1448, 0, 5, 126977, 23, 0),
        117: Reading(0, 4, 1448, 0, 5, 126977, 23, 0),
    },
    "while nothing was said": {
        0: Reading(0, 0, 1448, 0, 0, 1, 1, 65160),
        95: Reading(0, 4, 1448, 0, 0, 1, 1, 65160),
        105: Reading(0, 4, 1448, 0, 0, 1, 1, 65160),
    },
    "before something was sent behind a long silence": {
        0: Reading(0, 0, 1448, 0, 0, 1, 1, 65160),
        70: Reading(4, 2, 1448, 1, 5, 1, 1, 65160),
        120: Reading(8, 2, 1448, 1, 9, 1, 1, 65160),
    },
    "for full segments, while its keepalive comes": {
        0: Reading(0, 0, 1448, 0, 0, 1622017, 103, 113664),
        70: Reading(8, 0, 1448, 12, 10, 1622017, 105, 116736),
        120: Reading(10, 0, 1448, 12, 12, 1622017, 106, 116736),
    },
    "for full segments, while it sends": {
        0: Reading(0, 0, 1448, 0, 0, 1622017, 103, 113664),
        70: Reading(8, 0, 1448, 83, 20, 1622017, 119, 116736),
        120: Reading(10, 0, 1448, 83, 22, 1622017, 129, 116736),
    },
    "and there is no route any more": {
        0: Reading(0, 0, 1448, 0, 0, 1622017, 103, 113664),
        120: Reading(9, 0, 1448, 48, 0, 1622017, 103, 113664),
    },
}

#: The same, of a side that is still there.
STANDS = {
    "no room, and an answer to each question": [
        Reading(0, 0, 1448, 0, 5, 126977, 17, 0),
        Reading(0, 0, 1448, 0, 5, 126977, 22, 0),
        Reading(0, 0, 1448, 0, 5, 126977, 27, 0),
    ],
    "no room for what is in flight": [
        Reading(0, 0, 1448, 12, 5, 126977, 17, 0),
        Reading(0, 0, 1448, 12, 12, 126977, 22, 0),
        Reading(0, 0, 1448, 12, 19, 126977, 27, 0),
    ],
    "less room than a full segment takes": [
        Reading(2, 0, 1448, 12, 5, 126977, 17, 1447),
        Reading(4, 0, 1448, 12, 12, 126977, 22, 1447),
    ],
    "no room, and two questions lost in a long pause": [
        Reading(0, 0, 1448, 0, 5, 126977, 22, 0),
        Reading(0, 1, 1448, 0, 5, 126977, 22, 0),
        Reading(0, 2, 1448, 0, 5, 126977, 22, 0),
    ],
    "silence, when nobody has asked": [
        Reading(0, 0, 1448, 0, 3, 16385, 4, 98304),
        Reading(0, 0, 1448, 0, 3, 16385, 4, 98304),
    ],
    "sent again and again, and it has arrived": [
        Reading(7, 0, 1448, 48, 8, 1622017, 103, 113664),
        Reading(9, 0, 1448, 48, 99, 1622018, 104, 113664),
    ],
    "it sends, and we do not": [
        Reading(0, 0, 1448, 0, 8, 1622017, 103, 113664),
        Reading(0, 0, 1448, 0, 99, 1622017, 104, 113664),
    ],
}


class ReadingTests(SynchronousTestCase):
    """The result depends on two readings and the time between them."""

    def test_vanished(self) -> None:
        for what, readings in VANISHED.items():
            (_, first), *later = readings.items()
            found = [seconds for seconds, now in later if has_vanished(first, now, seconds)]
            self.assertEqual(found, [list(readings)[-1]], what)

    def test_stands(self) -> None:
        for what, readings in STANDS.items():
            for then, now in pairwise(readings):
                self.assertFalse(has_vanished(then, now, 100_000), what)

    def test_room_is_not_known(self) -> None:
        """Of an old kernel: what comes might come from a reader that stalls."""
        then = Reading(0, 0, 1448, 0, 0, 1622017, 103, 0)
        self.assertFalse(has_vanished(then, Reading(10, 0, 1448, 83, 22, 1622017, 129, 0), 1000))
        self.assertTrue(has_vanished(then, Reading(10, 0, 1448, 83, 22, 1622017, 103, 0), 1000))

    def test_timeouts_that_begin_again(self) -> None:
        """As they do when a probe is answered: what was sent again counts all the same."""
        then = Reading(0, 0, 1448, 0, 8, 1622017, 103, 113664)
        for repeated, gone in ((10, False), (11, True)):
            now = Reading(1, 0, 1448, 12, repeated, 1622017, 106, 116736)
            self.assertEqual(has_vanished(then, now, PATIENCE), gone)


class Watched(Connection):
    """
    A connection whose readings come from the test.

    :ivar says: a reading; None when it has been closed.
    :ivar asked: how often it was read.
    :ivar in_memory: whether it has no readings at all.
    """

    says: Reading | None = Reading(0, 0, 1448, 0, 0, 1, 1, 65160)

    def __init__(self) -> None:
        self.asked = 0
        self.in_memory = False
        self.losses: list[Failure] = []

    def getHandle(self) -> Any:
        """There is no socket."""

    def connectionLost(self, reason: Failure) -> None:
        self.losses.append(reason)


class WatchTests(SynchronousTestCase):
    """One timer for all connections of a reactor."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.patch(liveness, "reading", self.read)
        self.patch(liveness, "is_told", lambda connection: not connection.in_memory)
        self.patch(liveness, "_watches", {})

    def read(self, transport: object) -> Reading | None:
        """What the kernel says."""
        if not isinstance(transport, Watched):
            return None
        transport.asked += 1
        return transport.says

    def begin(self) -> Watched:
        """One that stands."""
        connection = Watched()
        watch(self.clock, connection)
        return connection

    def vanish(self, connection: Watched) -> None:
        """Its other side vanishes."""
        assert connection.says is not None
        connection.says = connection.says._replace(timeouts=9, in_flight=48, repeated=10)

    def pass_by(self, seconds: float) -> None:
        """Time, so that each look has its moment."""
        self.clock.pump([INTERVAL / 4] * round(seconds / INTERVAL * 4))

    def assert_idle(self) -> None:
        """No timer runs, and nothing is kept."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(liveness._watches, {})

    def test_vanished(self) -> None:
        """Also of one that came when there was none any more."""
        unwatch(self.clock, self.begin())
        connection = self.begin()
        connection.says = Reading(0, 0, 1448, 0, 0, 1, 2, 65160)
        self.pass_by(INTERVAL)
        self.vanish(connection)
        self.pass_by(PATIENCE - INTERVAL)
        self.assertEqual(connection.losses, [])
        self.pass_by(120 - PATIENCE + INTERVAL)
        [reason] = connection.losses
        self.assertTrue(reason.check(PeerVanished))
        message = "the other side stopped responding"
        self.assertEqual(reason.getErrorMessage(), message)
        self.assert_idle()

    def test_silent_before(self) -> None:
        """Who has turned keepalive off has as long for the first question as keepalive gives."""
        connection = self.begin()
        self.pass_by(1000)
        self.vanish(connection)
        self.pass_by(KEEPALIVE_INTERVAL * KEEPALIVE_COUNT - INTERVAL)
        self.assertEqual(connection.losses, [])
        self.pass_by(2 * INTERVAL)
        self.assertEqual(len(connection.losses), 1)
        self.assert_idle()

    def test_answers_now_and_then(self) -> None:
        connection = self.begin()
        for heard in range(50):
            connection.says = Reading(0, 0, 1448, 0, 0, 1, heard, 0)
            self.pass_by(40)
            connection.says = Reading(0, 3, 1448, 0, 0, 1, heard, 0)
            self.pass_by(40)
        self.assertEqual(connection.losses, [])
        unwatch(self.clock, connection)
        self.assert_idle()

    def test_one_timer(self) -> None:
        connections = [self.begin() for _ in range(20)]
        self.pass_by(INTERVAL)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for connection in connections:
            self.assertEqual(connection.asked, 1)  # and not when it came: many are soon gone
            unwatch(self.clock, connection)
        self.assert_idle()
        unwatch(self.clock, connections[0])

    def test_in_batches(self) -> None:
        """Between two of them everything else gets its turn, and some may leave."""
        self.patch(liveness, "_BATCH", 3)
        connections = [self.begin() for _ in range(8)]
        turns: list[int] = []

        def other_work() -> None:
            turns.append(sum(each.asked for each in connections))
            unwatch(self.clock, connections[-1])
            if len(turns) < 4:
                self.clock.callLater(0, other_work)

        self.clock.callLater(INTERVAL, other_work)
        self.clock.advance(INTERVAL)
        self.assertEqual(turns, [3, 6, 7, 7])
        self.pass_by(INTERVAL)
        self.assertEqual([each.asked for each in connections], [2] * 7 + [0])

    def test_telling(self) -> None:
        """
        It may take out another, as a relay does, whose two connections end together; when it fails
        the others are told all the same.
        """
        for fails in (False, True):
            one, other = self.begin(), self.begin()
            for each in one, other:
                self.vanish(each)
            leave = partial(unwatch, self.clock, other)
            tell: Any = (lambda _: 1 / 0) if fails else (lambda _, leave=leave: leave())
            self.patch(one, "connectionLost", tell)
            self.pass_by(200)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), int(fails))
            self.assertEqual(len(other.losses), int(fails))
            self.assert_idle()

    def test_not_to_be_watched(self) -> None:
        """
        Of some the system tells nothing any more, or never did; others are no connections of
        Twisted.
        """
        connection = self.begin()
        connection.says = None
        self.pass_by(INTERVAL)
        self.assert_idle()
        watch(self.clock, connection)
        self.pass_by(INTERVAL)
        self.assert_idle()
        connection.in_memory = True
        for each in connection, ByteTransport():
            watch(self.clock, each)
            self.assert_idle()
            unwatch(self.clock, each)

    def test_below_wrappers(self) -> None:
        """It is the connection that is looked at, and told."""
        connection = Watched()
        above = Above(transport=Above(transport=connection))
        self.patch(liveness, "reading", lambda transport: self.read(bottom(transport)))
        watch(self.clock, above)
        self.vanish(connection)
        self.pass_by(120)
        self.assertEqual(len(connection.losses), 1)
        watch(self.clock, above)
        unwatch(self.clock, above)
        self.assert_idle()

    def test_two_reactors(self) -> None:
        connection = self.begin()
        another = Clock()
        watch(another, Watched())
        unwatch(another, connection)
        self.assertEqual(len(another.getDelayedCalls()), 1)
        self.vanish(connection)
        another.pump([INTERVAL] * 20)
        self.assertEqual(connection.losses, [])
        self.pass_by(120)
        self.assertEqual(len(connection.losses), 1)
        unwatch(another, next(iter(liveness._watches[another]._last)))
        self.assert_idle()
