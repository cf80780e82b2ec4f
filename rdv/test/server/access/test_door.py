"""
Which clients are let in: immediately, later, or not at all; through HTTP and through the shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import BadRequest
from rdv.server import Rendezvous, RendezvousResource
from rdv.server.access.door import PATIENCE, Check, Door, Later, Visitor
from rdv.server.leg import Leg
from rdv.server.refusals import EXPIRED, bad_request
from rdv.server.site.parts import make_site
from rdv.settings import ServerSettings
from rdv.test.asyncio_loop import without_asyncio
from rdv.test.doubles import CLIENT
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.wire import Offer, Role, refusal


def visitor(token: bytes = b"token", observed: str = "192.0.2.1:7") -> Visitor:
    """One without headers."""
    return Visitor(Offer(Role.DIALER, token), lambda name: (), observed, None)


class Fakes:
    """Checks that record what they are asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Deferred[None] = Deferred()

    def yes(self, one: Visitor) -> None:
        """At once."""
        self.asked.append("yes")

    def no(self, one: Visitor) -> None:
        """At once."""
        self.asked.append("no")
        raise BadRequest("not you", 403)

    def later(self, one: Visitor) -> Later:
        """As soon as there is an answer."""

        async def wait() -> None:
            self.asked.append("later")
            await self.answer
            one.user = "alice"

        return wait()


class DoorTests(SynchronousTestCase):
    """A door by itself."""

    def setUp(self) -> None:
        self.fakes = Fakes()

    def test_all_of_them(self) -> None:
        """Are asked, in their order, until one refuses."""
        fakes = self.fakes
        self.assertIsNone(Door([]).ask(visitor()))
        self.assertIsNone(Door([fakes.yes, fakes.yes]).ask(visitor()))
        self.assertEqual(fakes.asked, ["yes", "yes"])
        door = Door([fakes.yes, fakes.no, fakes.later])
        self.assertRaises(BadRequest, door.ask, visitor())
        self.assertEqual(fakes.asked[2:], ["yes", "no"])

    def test_behind_one_that_takes_time(self) -> None:
        """The others are asked when it has said yes."""
        fakes = self.fakes
        later = Door([fakes.later, fakes.yes, fakes.later, fakes.no, fakes.yes]).ask(visitor())
        assert later is not None
        result = Deferred.fromCoroutine(later)
        self.assertEqual(fakes.asked, ["later"])
        fakes.answer.callback(None)
        self.failureResultOf(result, BadRequest)
        self.assertEqual(fakes.asked, ["later", "yes", "later", "no"])

    def test_is_open(self) -> None:
        """For those about whom all is known; nothing has begun for the others."""
        fakes = self.fakes
        self.assertTrue(Door([fakes.yes]).is_open(visitor()))
        self.assertFalse(Door([fakes.yes, fakes.no, fakes.yes]).is_open(visitor()))
        self.assertFalse(Door([fakes.later, fakes.yes]).is_open(visitor()))
        self.assertFalse(Door([fakes.yes, _fail]).is_open(visitor()))
        self.assertEqual(fakes.asked, ["yes", "yes", "no", "yes"])
        self.assertEqual(self.flushWarnings(), [])

    def test_ip(self) -> None:
        """Four bytes or sixteen, or none."""
        for observed, ip in (("192.0.2.1:7", b"\xc0\x00\x02\x01"), ("[::1]:7", bytes(15) + b"\1")):
            self.assertEqual(visitor(observed=observed).ip, ip)
        self.assertIsNone(visitor(observed="").ip)

    def test_headers_are_not_shown(self) -> None:
        """Nor is the token: a traceback may show what a function was given."""
        self.assertNotIn("token", repr(visitor(b"my token")))


def _fail(one: Visitor) -> None:
    raise ZeroDivisionError


class ResourceTests(WebTestCase):
    """A resource that has one."""

    def setUp(self) -> None:
        without_asyncio(self)
        self.clock = Clock()
        self.rendezvous = Rendezvous(self.clock)
        self.fakes = Fakes()
        self.guard([self.fakes.later])

    def guard(self, checks: Sequence[Check]) -> None:
        """Who comes from now on is asked that."""
        self.mount(RendezvousResource(self.rendezvous, door=Door(checks)))

    def answer(self) -> None:
        """Now it is known."""
        self.fakes.answer.callback(None)
        self.clock.advance(0)

    def leg(self) -> Leg:
        """What is now at the server's end."""
        leg = self.at_server.protocol
        assert isinstance(leg, Leg)
        return leg

    def assert_refused(self, browser: Browser, status: int, text: str) -> None:
        """It has got that, and nobody waits."""
        answer = browser.answer()
        self.assertEqual((answer.status, answer.body), (status, f"{text}\n"))
        wanted = "bearer" if status == 401 else None
        self.assertEqual(answer.headers.get("www-authenticate"), wanted)
        self.assertEqual(answer.headers.get("retry-after"), "10" if status == 503 else None)
        self.assertEqual(self.rendezvous.waiting, 0)

    def assert_nothing_left(self) -> None:
        """The client leaves, and no timer runs."""
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.rendezvous.waiting, 0)

    def test_at_once(self) -> None:
        """Yes, and no."""
        self.guard([self.fakes.yes])
        self.assert_waiting(self.browse(request()))
        self.assertIsNone(self.leg().user)
        self.assert_nothing_left()
        self.guard([self.fakes.no])
        self.assert_refused(self.browse(request()), 403, "not you")
        self.assert_nothing_left()

    def test_unauthorized(self) -> None:
        """Such an answer names a way to be authorized (RFC 9110, 15.5.2)."""
        browser = self.browse(request())
        self.fakes.answer.errback(BadRequest("a token, please", 401))
        self.clock.advance(0)
        self.assert_refused(browser, 401, "a token, please")

    def test_what_it_is_asked(self) -> None:
        """The request's offer, its headers, and where it comes from."""
        seen: list[Visitor] = []
        self.guard([lambda one: seen.append(one)])
        self.browse(request(more=b"Authorization: Bearer x\r\n"))
        [one] = seen
        self.assertEqual((one.offer.role, one.offer.token), (Role.DIALER, b"token"))
        self.assertEqual(one.header(b"Authorization"), [b"Bearer x"])
        self.assertEqual(list(one.header(b"Cookie")), [])
        self.assertEqual((one.observed, one.peer), ("203.0.113.9:39841", CLIENT))

    def test_nothing_bad(self) -> None:
        """A request that is none of ours is refused before."""
        self.guard([self.fakes.yes])
        self.assertEqual(self.browse(request(rdv_token=None)).answer().status, 400)
        self.assertEqual(self.fakes.asked, [])

    def test_later(self) -> None:
        """Until then the client is held, with no timer but the door's."""
        browser = self.browse(request())
        self.assertEqual((browser.received, self.rendezvous.waiting), (b"", 0))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.answer()
        self.assert_waiting(browser)
        self.assertEqual(self.leg().user, "alice")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assert_nothing_left()

    def test_refused_later(self) -> None:
        """The connection stays usable."""
        browser = self.browse(request())
        self.fakes.answer.errback(BadRequest("not you", 403))
        self.clock.advance(0)
        self.assert_refused(browser, 403, "not you")
        self.send(browser, request(b"GET", path=b"/"))
        self.assertEqual(browser.answer().status, 404)
        self.assert_nothing_left()

    def test_counted(self) -> None:
        """By a word, at once and later."""
        browser = self.browse(request())
        self.fakes.answer.errback(bad_request(EXPIRED))
        self.clock.advance(0)
        self.assert_refused(browser, *EXPIRED)
        self.guard([self.fakes.no])
        self.browse(request())
        counted = self.rendezvous.statistics.refusals
        self.assertEqual(counted, {(403, "token_expired"): 1, (403, "forbidden"): 1})

    def test_early_bytes(self) -> None:
        """Are early however long it took."""
        browser = self.browse(request())
        self.send(browser, b"early")
        self.answer()
        self.assertEqual(browser.received, refusal(400, "bytes before the response"))
        self.assert_nothing_left()

    def test_client_leaves(self) -> None:
        """Then the answer is not wanted any more."""
        cancelled: list[object] = []
        self.fakes.answer = Deferred(cancelled.append)
        self.browse(request())
        self.assert_nothing_left()
        self.assertEqual(cancelled, [self.fakes.answer])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_no_answer(self) -> None:
        """In time."""
        browser = self.browse(request())
        self.clock.advance(PATIENCE)
        text = "could not check your access in time, try again"
        self.assert_refused(browser, 503, text)
        self.assert_nothing_left()

    def test_failure(self) -> None:
        """At once, and later: nobody comes in, and the log says why."""
        text = "the server could not decide about this client"
        self.guard([_fail])
        self.assert_refused(self.browse(request()), 500, text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.guard([self.fakes.later])
        browser = self.browse(request())
        self.fakes.answer.errback(ZeroDivisionError())
        self.clock.advance(0)
        self.assert_refused(browser, 500, text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled_by_the_check_itself(self) -> None:
        """What it asked was given up."""
        browser = self.browse(request())
        self.fakes.answer.errback(CancelledError())
        self.clock.advance(0)
        self.assertEqual(browser.answer().status, 503)

    def test_shutting_down_meanwhile(self) -> None:
        """Who comes in late is told as everybody else."""
        browser = self.browse(request())
        self.rendezvous.close()
        self.answer()
        self.assert_refused(browser, 503, "shutting down, try again")

    def test_full_meanwhile(self) -> None:
        """Then there is no room."""
        browser = self.browse(request())
        self.patch(self.rendezvous, "has_room", lambda leg, transport: False)
        self.answer()
        self.assert_refused(browser, 503, "no room for more clients, try again later")


class ShortWayTests(ResourceTests):
    """A standalone server, where clients that are let in immediately take the shortcut."""

    def guard(self, checks: Sequence[Check]) -> None:
        settings = ServerSettings(path="/rdv")
        self.factory = make_site(self.clock, settings, self.rendezvous, Door(checks))

    def test_no_detour(self) -> None:
        """Nobody of them is asked twice, and nothing of HTTP is made."""
        self.guard([self.fakes.yes])
        made: Any = self.factory
        self.patch(made._slim, "widen", None)
        self.assert_waiting(self.browse(request()))
        self.assertEqual(self.fakes.asked, ["yes"])

    def test_user(self) -> None:
        """Whom the door knows is known."""

        def name(one: Visitor) -> None:
            one.user = "bob"

        self.guard([name])
        self.browse(request())
        self.assertEqual(self.leg().user, "bob")
