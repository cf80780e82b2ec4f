"""
The end of a site: what it waits for, and how long.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._until import wait_until
from rdv.errors import BadRequest
from rdv.server import Rendezvous, RendezvousResource
from rdv.server.refusals import SHUTDOWN
from rdv.server.site.site import RendezvousSite
from rdv.test.server.doubles import request
from rdv.test.server.site.test_site import SiteTestCase
from rdv.wire import refusal


class WhenTests(SynchronousTestCase):
    def test_at_once(self) -> None:
        clock = Clock()
        self.successResultOf(wait_until(clock, lambda: True, 1.0))
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_later(self) -> None:
        clock = Clock()
        over: list[int] = []
        waiting = wait_until(clock, lambda: bool(over), 1.0)
        clock.advance(0.5)
        self.assertNoResult(waiting)
        over.append(1)
        clock.advance(0.1)
        self.successResultOf(waiting)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_never(self) -> None:
        clock = Clock()
        waiting = wait_until(clock, lambda: False, 1.0)
        clock.pump([0.02] * 49)
        self.assertNoResult(waiting)
        clock.pump([0.02] * 2)
        self.successResultOf(waiting)
        self.assertEqual(clock.getDelayedCalls(), [])


class LeaveTests(SiteTestCase):
    @property
    def own_site(self) -> RendezvousSite:
        assert isinstance(self.site, RendezvousSite)
        return self.site

    def test_answered(self) -> None:
        """Who has come, and says what it wants, gets an answer before it is over."""
        browser = self.browse()
        self.rendezvous.close()
        left = self.own_site.leave([])
        self.clock.advance(0.1)
        self.assertNoResult(left)
        self.send(browser, request())
        self.assertEqual(browser.answer().status, 503)
        self.at_client.loseConnection()
        self.clock.advance(0.1)
        self.successResultOf(left)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """It need not be waited for."""
        self.browse()
        left = self.own_site.leave([])
        self.clock.advance(0.9)
        self.assertNoResult(left)
        self.clock.advance(0.1)
        self.successResultOf(left)

    def test_held(self) -> None:
        """Who has asked, and is thought about for too long, is told to come again."""
        cancelled: list[object] = []
        hook: Deferred[str | None] = Deferred(cancelled.append)
        self.mount(RendezvousResource(self.rendezvous, identify=lambda one: hook))
        self.site = self.factory = RendezvousSite(self.site.resource, self.clock)
        browser = self.browse(request())
        self.rendezvous.close()
        left = self.own_site.leave([])
        self.clock.advance(0.9)
        self.assertEqual(browser.received, b"")
        self.clock.advance(0.1)
        self.assertEqual(browser.received, refusal(*SHUTDOWN))
        self.assertNoResult(left)
        self.at_client.loseConnection()
        self.clock.pump([0.1] * 2)
        self.successResultOf(left)
        self.assertEqual(cancelled, [hook])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def refused_then(self, says: str | Failure) -> None:
        """A client is told to come again, and what is said of it afterwards changes nothing."""
        hook: Deferred[str | None] = Deferred()
        self.mount(RendezvousResource(self.rendezvous, identify=lambda one: hook))
        statistics = self.rendezvous.statistics
        self.site = self.factory = RendezvousSite(
            self.site.resource, self.clock, statistics=statistics
        )
        browser = self.browse(request())
        self.rendezvous.close()
        self.own_site.leave([])
        self.clock.advance(1)
        hook.callback(says)
        self.clock.advance(0)
        self.assertEqual(browser.received, refusal(*SHUTDOWN))
        self.assertEqual(list(statistics.refusals.values()), [1])

    def test_answered_too_late(self) -> None:
        """Whoever has been told is not told again, nor let in, nor counted twice."""
        self.refused_then("user")
        self.rendezvous = Rendezvous(self.clock)
        self.refused_then(Failure(BadRequest("no", 403)))

    def test_longer(self) -> None:
        """There may be more time, until there is less after all."""
        browser = self.browse()
        left = self.own_site.leave([], 10.0)
        self.clock.advance(5)
        self.assertNoResult(left)
        again = self.own_site.leave([])
        self.clock.advance(1)
        self.successResultOf(again)
        self.clock.advance(0.1)
        self.successResultOf(left)
        self.assertIsNone(browser.lost)

    def test_in_a_hurry(self) -> None:
        """The second signal."""
        browser = self.browse()
        left = self.own_site.leave([])
        self.own_site.abort()
        self.clock.advance(0.1)
        self.successResultOf(left)
        self.assertIsNotNone(browser.lost)

    def test_legs(self) -> None:
        """Who has become one is not the site's any more; nor who is gone."""
        self.browse(request())
        self.browse()
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.successResultOf(self.own_site.leave([]))
