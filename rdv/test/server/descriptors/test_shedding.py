"""
Descriptors run short: which connections are dropped, and which are not.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rdv.addresses import network_of
from rdv.server.descriptors import budget
from rdv.server.descriptors.shedding import Holder, whom_to_drop
from rdv.server.site import short_way, site
from rdv.server.site.parts import make_site
from rdv.settings import ServerSettings
from rdv.test.doubles import CLIENT, connect, present
from rdv.test.server.descriptors.test_budget import FIRST, Numbered
from rdv.test.server.doubles import Browser, WebTestCase, request

HOSTS = st.sampled_from(["", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"])


def holder(since: float, host: str) -> Holder:
    return Holder(since, host, lambda: True)


def network(host: str) -> bytes:
    return network_of(host) if host else b""


class ChoiceTests(SynchronousTestCase):
    """Which connections to drop."""

    def chosen(self, holders: list[Holder], number: int, *few: int) -> list[tuple[float, str]]:
        return [each[:2] for each in whom_to_drop(holders, number, few or (0,), now=100)]

    def test_networks(self) -> None:
        """One address of IPv4, however it is written, or a /64; what is no address is one place."""
        for one, other, same in (
            ("192.0.2.1", "192.0.2.1", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
            ("2001:db8::1", "2001:db8:0:1::1", False),
            ("fe80::1%eth0", "fe80::2%eth1", True),
            ("", "", True),
            ("", "::", False),
        ):
            both = [holder(50, one), holder(60, other)]
            [chosen] = self.chosen([*both, holder(10, "198.51.100.1")], 1)
            self.assertEqual(chosen, (50, one) if same else (10, "198.51.100.1"), (one, other))

    def test_most_then_oldest(self) -> None:
        hog = [holder(n, "192.0.2.1") for n in (50, 20, 60)]
        others = [holder(10, "192.0.2.2"), holder(30, "2001:db8::1"), holder(5, "2001:db8::2")]
        self.assertEqual(
            self.chosen(hog + others, 5),
            [
                (20, "192.0.2.1"),
                (5, "2001:db8::2"),
                (50, "192.0.2.1"),
                (10, "192.0.2.2"),
                (30, "2001:db8::1"),
            ],
        )

    def test_young(self) -> None:
        """For a second they are safe, unless they are more than a few."""
        two = [holder(99.5, "192.0.2.1"), holder(99.4, "192.0.2.1")]
        self.assertEqual(self.chosen([*two, holder(99, "192.0.2.2")], 9, 2), [(99, "192.0.2.2")])
        self.assertEqual(self.chosen(two, 9, 1), [(99.4, "192.0.2.1")])

    def test_many_networks(self) -> None:
        """If too many are safe like that, then only those who are fewer still."""
        two = [holder(99.5, "192.0.2.1"), holder(99.4, "192.0.2.1")]
        alone, old = holder(99.3, "192.0.2.2"), holder(98, "192.0.2.3")
        all_of_them = [*two, alone, old]
        self.assertEqual(self.chosen(all_of_them, 1, 2, 1), [(98, "192.0.2.3")])
        self.assertEqual(
            self.chosen(all_of_them, 9, 2, 1), [(98, "192.0.2.3"), (99.4, "192.0.2.1")]
        )

    def test_nobody(self) -> None:
        self.assertEqual(self.chosen([], 9), [])
        self.assertEqual(self.chosen([holder(0, "")], 0), [])

    @given(
        st.lists(st.builds(holder, st.integers(0, 100), HOSTS), max_size=40),
        st.integers(0, 50),
        st.integers(0, 5),
    )
    def test_any(self, holders: list[Holder], number: int, few: int) -> None:
        """
        Nobody twice, nobody young of a few, and never one of a network while another one has more
        of whom any could go.
        """
        chosen = whom_to_drop(holders, number, (few,), now=100)
        self.assertLessEqual(len(chosen), number)
        left = Counter({id(each): each for each in holders}.keys())
        sizes = Counter(network(each.host) for each in holders)
        for each in chosen:
            self.assertEqual(left.pop(id(each)), 1)
            own = network(each.host)
            self.assertTrue(sizes[own] > few or each.since <= 99)
            others = [h for h in holders if id(h) in left and network(h.host) == own]
            self.assertTrue(all(h.since >= each.since for h in others))
            for place, size in sizes.items():
                if size > sizes[own]:
                    group = [h for h in holders if network(h.host) == place and id(h) in left]
                    self.assertTrue(size <= few and all(h.since > 99 for h in group))
            sizes[own] -= 1


class Thinking(Resource):
    """A guard that takes its time."""

    isLeaf = True

    def render(self, request: Request) -> int:
        self.request = request
        return NOT_DONE_YET


class SiteTests(WebTestCase):
    """A standalone server whose descriptors run short."""

    def setUp(self) -> None:
        super().setUp()
        self.site: Any = make_site(self.clock, ServerSettings(), self.rendezvous)
        self.factory = self.site

    def shed(self, number: int = 100) -> int:
        dropped: int = self.site._shed(number)
        self.clock.advance(0)
        return dropped

    def assert_shed(self, *browsers: Browser) -> None:
        """These are no clients, and are cut; nothing is left of them."""
        self.clock.advance(1)
        self.assertEqual(self.shed(), len(browsers))
        for browser in browsers:
            self.assertIsNotNone(browser.lost or browser.read_ended or None)
        self.assertEqual(list(self.site.holders()), [])

    def test_silent(self) -> None:
        """It is told to come again."""
        browser = self.browse()
        self.assert_shed(browser)
        self.assertEqual(browser.answer().status, 503)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unread(self) -> None:
        """What one has said may be in the kernel still."""
        browser = self.browse()
        self.patch(short_way, "unread", lambda transport: b"D")
        self.shed()
        self.patch(short_way, "unread", lambda transport: None)
        self.send(browser, request())
        self.assert_waiting(browser)

    def test_half_a_head(self) -> None:
        browser = self.browse(request()[:-1])
        self.assert_shed(browser)
        self.assertTrue(self.at_server.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_half_a_body(self) -> None:
        self.assert_shed(self.browse(request(b"POST", more=b"Content-Length: 9\r\n") + b"x"))

    def test_refused(self) -> None:
        """By HTTP, or as a leg."""
        other = self.browse(b"nonsense\r\n\r\n")
        first = self.browse(request())
        again = self.browse(request())
        self.assertEqual(first.answer().status, 409)
        self.assert_shed(other, first)
        self.assert_waiting(again)

    def test_just_refused(self) -> None:
        """The answer arrives, and is not waited for."""
        self.patch(site, "reserve", lambda: 0)
        refused = [
            (self.browse(data), self.at_server, status)
            for data, status in ((b"nonsense\r\n\r\n", 400), (request(), 409))
        ]
        again = self.browse(request())
        self.assertEqual(self.shed(), 2)
        for browser, at_server, status in refused:
            self.assertEqual(browser.answer().status, status)
            self.assertEqual((at_server.connected, at_server.aborted), (False, False))
        self.assert_waiting(again)

    def test_being_closed(self) -> None:
        """What was written has a second to be sent."""
        self.patch(site, "reserve", lambda: 0)
        browser = self.browse()
        self.at_client.pauseProducing()
        self.send(browser, request(b"GET", connection=b"close"))
        self.assertEqual((self.shed(), self.at_server.connected), (0, True))
        self.clock.advance(1)
        self.assertEqual((self.shed(), self.at_server.connected), (1, False))

    def test_between_two_requests(self) -> None:
        browser = self.browse(request(b"GET"))
        self.assertEqual(browser.answer().status, 400)
        self.assert_shed(browser)

    def test_clients(self) -> None:
        """They are not touched: one waits, and two have met."""
        waiting = self.browse(request())
        pair = [self.browse(request(m, rdv_token=b"another")) for m in (b"DIAL", b"ACCEPT")]
        self.assert_shed()
        self.assert_waiting(waiting)
        self.assertEqual([each.lost for each in pair], [None, None])

    def test_being_answered(self) -> None:
        """A request that is complete, about which a guard thinks."""
        guard = Thinking()
        self.site.resource = guard
        browser = self.browse(request(b"GET"))
        self.assert_shed()
        guard.request.finish()
        self.clock.advance(0)
        self.assertIsNone(browser.lost)
        self.assert_shed(browser)

    def test_in_the_same_turn(self) -> None:
        """One that comes while others are being dropped has their place, and is not refused."""
        self.patch(budget, "socket_of", lambda transport: Numbered(FIRST))
        self.patch(budget, "first_reserved", lambda: FIRST)
        self.patch(budget, "lowest_free", lambda fd: FIRST + 1)
        hog = [self.browse(b"x") for _ in range(2)]
        self.patch(site, "reserve", lambda: 0)
        self.site._shed(2)
        protocol = present(self.factory.buildProtocol(CLIENT))
        at_server, _ = connect(self.clock, protocol, Browser())
        at_server.protocol.dataReceived(request())
        self.assertEqual(self.rendezvous.waiting, 1)
        self.clock.advance(0)
        self.assertTrue(all(each.lost is not None for each in hog))
        self.assertEqual(self.browse(request(rdv_token=b"late")).answer().status, 503)

    def test_the_hog(self) -> None:
        """It goes first, and before it has had its time; the others are not touched."""
        honest = [self.browse(address=IPv4Address("TCP", f"192.0.2.{n}", 4000)) for n in range(9)]
        self.patch(site, "reserve", lambda: 80)
        hog = []
        for n in range(300):
            hog.append(self.browse(b"x" if n % 2 else b""))
            self.clock.advance(0.001)
        self.assertEqual(CLIENT.host, self.at_server.getPeer().host)
        self.assertEqual(self.shed(200), 200)
        gone = [each.lost is not None or bool(each.read_ended) for each in hog]
        self.assertEqual(gone, [True] * 200 + [False] * 100)
        self.assertFalse(any(each.lost or each.read_ended for each in honest))

    def test_very_many(self) -> None:
        """Then more go than have to."""
        for _ in range(320):
            self.browse()
        self.assertEqual(self.shed(1), 20)
