"""
The users of requests, and how hooks learn them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest

from rdv.errors import BadRequest
from rdv.server import Identify, Pair, Rendezvous, RendezvousResource
from rdv.server.access.door import Check, Door, Visitor
from rdv.server.leg import Leg
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.server.workers.doubles import WorkersTestCase, token_of
from rdv.wire import Role


class IdentifyTests(WebTestCase):
    """The user of a request, from the program that embeds the resource."""

    def identify(self, identify: Identify, checks: Sequence[Check] = ()) -> Browser:
        """Let a client come."""
        door = Door(checks) if checks else None
        self.mount(RendezvousResource(self.rendezvous, identify=identify, door=door))
        return self.browse(request(more=b"Cookie: user=alice\r\n"))

    def user(self) -> str | None:
        """Of the client that waits."""
        leg = self.at_server.protocol
        assert isinstance(leg, Leg)
        return leg.user

    def test_at_once(self) -> None:
        """By the request itself."""
        self.assert_waiting(
            self.identify(lambda request: cast(Any, request).getCookie(b"user").decode())
        )
        self.assertEqual(self.user(), "alice")

    def test_nobody(self) -> None:
        self.assert_waiting(self.identify(lambda request: None))
        self.assertIsNone(self.user())

    def test_later(self) -> None:
        """With the door behind it, which knows of it."""
        seen: list[str | None] = []
        answer: Deferred[str | None] = Deferred()
        browser = self.identify(lambda request: answer, [lambda one: seen.append(one.user)])
        self.assertEqual((self.rendezvous.waiting, seen), (0, []))
        answer.callback("bob")
        self.clock.advance(0)
        self.assert_waiting(browser)
        self.assertEqual((self.user(), seen), ("bob", ["bob"]))

    def test_both_take_time(self) -> None:
        answers: list[Deferred[Any]] = [Deferred(), Deferred()]

        async def check() -> None:
            await answers[1]

        browser = self.identify(lambda request: answers[0], [lambda one: check()])
        for answer in answers:
            self.assertEqual(self.rendezvous.waiting, 0)
            answer.callback("bob")
            self.clock.advance(0)
        self.assert_waiting(browser)

    def test_refused(self) -> None:
        """At once and later."""

        def refuse(request: IRequest) -> str:
            raise BadRequest("log in first", 401)

        async def refuse_later(request: IRequest) -> str:
            return refuse(request)

        for identify in (refuse, refuse_later):
            answer = self.identify(identify).answer()
            self.assertEqual((answer.status, answer.body), (401, "log in first\n"))

    def test_bad_name(self) -> None:
        """A mistake of the program's: nobody comes in."""
        for user, error in ((b"alice", TypeError), ("", ValueError), ("a\nb", ValueError)):
            answer = self.identify(lambda request, user=user: user).answer()  # type: ignore[misc]
            self.assertEqual(answer.status, 500)
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)

    def test_client_leaves(self) -> None:
        cancelled: list[object] = []
        answer: Deferred[str | None] = Deferred(cancelled.append)
        self.identify(lambda request: answer)
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(cancelled, [answer])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_function(self) -> None:
        no_function: Any = "alice"
        self.assertRaises(TypeError, RendezvousResource, self.rendezvous, identify=no_function)


class PairTests(WebTestCase):
    """What the hook learns about a pair."""

    def test_users(self) -> None:
        def name(one: Visitor) -> None:
            one.user = "bob" if one.offer.role is Role.DIALER else None

        met: list[Pair] = []
        self.rendezvous = Rendezvous(self.clock, serve=met.append)
        self.mount(RendezvousResource(self.rendezvous, door=Door([name])))
        self.browse(request())
        self.browse(request(b"ACCEPT"))
        self.assertEqual([(each.dialer.user, each.acceptor.user) for each in met], [("bob", None)])


class PassedOnTests(WorkersTestCase):
    """With several workers."""

    def serve(self, pair: Pair) -> None:
        self.met.append((pair.dialer.user, pair.acceptor.user))

    def setUp(self) -> None:
        def name(one: Visitor) -> None:
            one.user = f"Ünï {one.offer.role.name}"

        self.met: list[tuple[str | None, str | None]] = []
        super().setUp()
        for site, assignment in zip(self.sites, self.assignments, strict=True):
            site.resource = RendezvousResource(assignment, door=Door([name]))

    async def test_user_goes_along(self) -> None:
        """With a client that another worker has accepted."""
        for worker in (0, 1):
            token = token_of(1, word=f"from {worker}")
            await self.ask(worker, b"ACCEPT", token)
            dialer = await self.ask(1 - worker, b"DIAL", token)
            await dialer.until(b"HTTP/1.1 101 ")
        self.assertEqual(self.met, [("Ünï DIALER", "Ünï ACCEPTOR")] * 2)
