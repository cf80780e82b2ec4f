"""Taking a connection from ``twisted.web``: nothing lost, nothing left behind."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.util import DeferredResource

from rdv.addresses import Address, parse_address
from rdv.server import Rendezvous, RendezvousResource
from rdv.server.leg import Leg
from rdv.test.server.doubles import HELLO, WebTestCase, request
from rdv.wire import Role, refusal

EARLY = refusal(400, "bytes before the response")


class DetachTests(WebTestCase):
    """A good request, seen from both sides."""

    def leg(self) -> Leg:
        """What is now at the server's end."""
        leg = self.at_server.protocol
        assert isinstance(leg, Leg)
        return leg

    def test_what_the_rendezvous_gets(self) -> None:
        self.assert_waiting(self.browse(request()))
        leg = self.leg()
        self.assertEqual((leg.role, leg.token), (Role.DIALER, b"token"))
        self.assertEqual(leg.addresses, "192.168.1.16:39841, [2001:db8::7]:39841")
        self.assertEqual(leg.observed, "203.0.113.9:39841")
        self.assertEqual(leg.candidates, f"{leg.addresses}, {leg.observed}")

    def test_observed_address(self) -> None:
        """As the function finds it; unknown when it is nobody's address."""
        for found, wanted in (
            (parse_address("192.0.2.7:7777"), "192.0.2.7:7777"),
            (parse_address("[2001:db8::9]:1"), "[2001:db8::9]:1"),
            (parse_address("127.0.0.1:1"), "127.0.0.1:1"),
            (None, ""),
            (parse_address("192.0.2.7:0"), ""),
            (parse_address("0.0.0.0:80"), ""),
            (parse_address("[ff02::1]:80"), ""),
        ):
            seen: list[IRequest] = []

            def find(request: IRequest, found: Address | None = found) -> Address | None:
                seen.append(request)  # noqa: B023 - this round's list is meant
                return found

            self.rendezvous = Rendezvous(self.clock)
            self.observing(find)
            self.browse(request())
            self.assertEqual(self.leg().observed, wanted)
            self.assertEqual(len(seen), 1)

    def test_bytes_behind_the_request(self) -> None:
        """In the same segment: answered as HTTP, then the end. None of them is obeyed."""
        for behind in (b"x", HELLO, b"\r\n", b"x" * 100_000, request(b"GET", path=b"/")):
            browser = self.browse(request() + behind)
            self.assertEqual(browser.received, EARLY)
            self.assertEqual(self.at_server.writes, [EARLY])
            self.assertEqual((browser.read_ended, browser.lost), (1, None))
            self.assertEqual(self.rendezvous.waiting, 0)
            self.at_client.loseConnection()
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bytes_behind_an_empty_chunked_body(self) -> None:
        chunked = request(more=b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n"
        self.assert_waiting(self.browse(chunked))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.browse(chunked + HELLO).received, EARLY)

    def test_the_sites_timeout_is_gone(self) -> None:
        """It would end the wait after a minute. Until the request is complete it holds."""
        self.browse(request()[:-1])
        self.clock.advance(60)
        self.assertFalse(self.at_server.connected)
        browser = self.browse(request())
        self.clock.advance(299)
        self.assert_waiting(browser)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_leg_becomes_garbage(self) -> None:
        """When a pair has gone, nothing of it is left."""
        refs = []
        for method in (b"DIAL", b"ACCEPT"):
            self.browse(request(method))
            refs.append(weakref.ref(self.at_server))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.rendezvous.pairs, 0)
        del self.at_server, self.at_client
        gc.collect()
        self.assertEqual([ref() for ref in refs], [None, None])


class GuardTests(WebTestCase):
    """Behind a resource that takes its time, such as one that asks a database."""

    def setUp(self) -> None:
        super().setUp()
        self.decision: Deferred[IResource] = Deferred()
        self.mount(DeferredResource(self.decision))

    def decide(self) -> None:
        """Let them in."""
        self.decision.callback(RendezvousResource(self.rendezvous))
        self.clock.advance(0)

    def test_let_in(self) -> None:
        browser = self.browse(request())
        self.assertEqual(self.rendezvous.waiting, 0)
        self.decide()
        self.assert_waiting(browser)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.rendezvous.waiting, 0)

    def test_early_bytes(self) -> None:
        """They are early whether the guard was slow or not."""
        for together in (True, False):
            self.setUp()
            browser = self.browse(request() + b"early" * together)
            if not together:
                self.send(browser, b"early")
            self.decide()
            self.assertEqual(browser.received, EARLY)
            self.assertEqual(self.rendezvous.waiting, 0)

    def test_client_that_has_left(self) -> None:
        """It does not wait, and nothing is worth an error in the log."""
        self.browse(request())
        self.at_client.abortConnection()
        self.clock.advance(0)
        self.decide()
        self.assertEqual(self.rendezvous.waiting, 0)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
