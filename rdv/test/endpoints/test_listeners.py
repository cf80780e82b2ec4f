"""
Accepting at several servers.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.stream.connection import Connection
from rdv.client.trace import What
from rdv.endpoints.listeners import Listeners
from rdv.errors import RdvError, ServerRefused, ServerUnreachable
from rdv.test.endpoints.doubles import FakeClient, refused

GONE = ServerUnreachable("gone")


class ListenersTests(SynchronousTestCase):
    """Two servers; the first attempt is at the first."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.told: list[RdvError | None] = []
        self.delivered: list[Connection] = []
        urls = ["http://a.example/", "http://b.example/"]
        deliver, trouble = self.delivered.append, self.told.append
        self.listeners = Listeners(self.client, urls, "token", {}, deliver, trouble)
        self.listeners.start()
        self.first, self.second = self.client.attempts

    def tearDown(self) -> None:
        self.successResultOf(self.listeners.stop())
        self.assertTrue(self.client.nothing_left())

    def settles(self) -> None:
        """What was asked for last has not been refused."""
        self.client.last.happens(What.ASKED)
        self.client.clock.advance(0.5)

    def test_peers_come_anywhere(self) -> None:
        for attempt in (self.first, self.second):
            attempt.happens(What.MET)
            attempt.connects()
        self.assertEqual(len(self.delivered), 2)
        self.client.clock.pump([0, 0, 0])
        self.assertEqual(len(self.client.attempts), 4)

    def test_one_is_enough(self) -> None:
        """Nobody is told of the other."""
        self.first.fails(GONE)
        self.settles()
        self.successResultOf(self.listeners.waiting.when_fired())
        self.assertEqual(self.told, [])

    def test_trouble_is_that_nobody_comes(self) -> None:
        """It is told once, and over when peers can come to one of them."""
        waiting = self.listeners.waiting.when_fired()
        self.first.fails(GONE)
        self.assertNoResult(waiting)
        self.second.fails(refused(503))
        self.failureResultOf(waiting, ServerRefused)
        self.assertEqual([str(error) for error in self.told], [str(refused(503))])
        self.client.clock.advance(1)
        self.settles()
        self.assertEqual(self.told[1:], [None])
        self.client.last.fails(GONE)
        self.assertEqual(self.told[2:], [GONE])

    def test_back_at_first(self) -> None:
        """One comes back while the other is silent."""
        self.first.fails(GONE)
        self.client.clock.advance(1)
        self.settles()
        self.successResultOf(self.listeners.waiting.when_fired())
        self.assertEqual(self.told, [])

    def test_not_allowed(self) -> None:
        """By one of them, which ends that one; by all, which ends it."""
        stopped = self.listeners.stopped.when_fired()
        self.first.fails(refused(403))
        self.settles()
        self.assertNoResult(stopped)
        self.assertEqual(self.told, [])
        self.second.fails(refused(403))
        self.failureResultOf(stopped, ServerRefused)
        self.successResultOf(self.listeners.closed.when_fired())

    def test_not_allowed_and_gone(self) -> None:
        """Where we are not allowed nobody comes."""
        self.second.fails(GONE)
        self.first.fails(refused(401))
        self.assertEqual([str(error) for error in self.told], [str(refused(401))])

    def test_stopped(self) -> None:
        stopped, waiting = self.listeners.stopped, self.listeners.waiting.when_fired()
        self.successResultOf(self.listeners.stop())
        self.successResultOf(stopped.when_fired())
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(self.first.cancelled and self.second.cancelled)
