"""Clients take the shortcut in somebody's own site, and nothing else about it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IProtocolFactory,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from twisted.web.static import Data, File

from rdv.addresses import parse_address
from rdv.server import Limits, Rendezvous, RendezvousResource, ShortcutFactory
from rdv.server.access.door import Door
from rdv.server.leg import Leg
from rdv.test.doubles import CLIENT
from rdv.test.server import test_detach, test_resource, test_wrapped
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.server.site.test_head import OTHER, PLAIN
from rdv.test.server.site.test_slim import BEFORE, CHANGES, IP6, World, changed, in_pieces

#: Requests are limited to ten at once.
LIMITS = Limits(connections=1, waiting=2, pairs=1, requests=1, failures=60)


def page() -> Resource:
    """A root that has a page, and no rendezvous yet."""
    root = Resource()
    root.putChild(b"", Data(b"a page", "text/plain"))
    return root


class SiteWorld(World):
    """
    Somebody's own site, with the shortcut or without it.

    :param asked: so many requests have come already.
    """

    def __init__(self, short: bool, asked: int = 0) -> None:
        self.clock = Clock()
        self.rendezvous = Rendezvous(self.clock, limits=LIMITS)
        for _ in range(asked):
            self.rendezvous.admission.ask(CLIENT.host)
        root = page()
        root.putChild(b"rdv", RendezvousResource(self.rendezvous))
        site = Site(root, reactor=self.clock)
        self.factory: IProtocolFactory = ShortcutFactory(site) if short else site

    def outcome(self, *args: Any, **more: Any) -> tuple[object, ...]:
        """What comes of it, and what has been counted."""
        outcome = super().outcome(*args, **more)
        admission = self.rendezvous.admission
        place = admission._place_of(CLIENT.host)
        rates = [times[at] for times in admission._times for at in (place.one, place.other)]
        counts = [admission.counts.count(place, kind) for kind in range(3)]
        refusals = dict(self.rendezvous.statistics.refusals)
        return *outcome, rates, counts, refusals, dict(admission.hits.totals)


class LikenessTests(SynchronousTestCase):
    """With it and without it: the same bytes, clients and counts."""

    def assert_alike(
        self,
        data: bytes,
        before: Sequence[bytes | float] = (),
        address: Any = CLIENT,
        asked: int = 0,
    ) -> None:
        """For one who sends that, when so many requests have come already."""
        short, long = [
            SiteWorld(each, asked).outcome(data, address, before) for each in (True, False)
        ]
        self.assertEqual(short, long)

    def test_heads(self) -> None:
        """Those that are plain, and those that are not."""
        for data in (*PLAIN, *OTHER):
            self.assert_alike(data)
            self.assert_alike(data.replace(b" / ", b" /rdv ", 1))

    def test_paths(self) -> None:
        for path in (b"/", b"//", b"/rdv/", b"/rdv/x/y", b"/rdvx", b"/x", b"//rdv", b"/rdv//"):
            self.assert_alike(request(path=path))

    def test_addresses(self) -> None:
        nowhere = IPv4Address("TCP", CLIENT.host, 0)
        for address in (CLIENT, nowhere, IP6, IPv6Address("TCP", "2001:db8::9", 5)):
            self.assert_alike(request(), address=address)

    def test_silence(self) -> None:
        """The site's time for a request, from the beginning."""
        for pause in (59.5, 60.0, 74.0, 75.0):
            self.assert_alike(request(), before=[pause])
            self.assert_alike(request(), before=[b"G", pause])
            self.assert_alike(request(), before=[30.0, b"G", pause])

    @settings(max_examples=300)
    @given(CHANGES, st.sampled_from(PLAIN), BEFORE, st.sampled_from([0, 10]))
    @example([], request(), [], 9)
    @example([], request(), [], 10)
    def test_changed(
        self,
        changes: list[tuple[int, int, bytes]],
        data: bytes,
        before: list[int | float],
        asked: int,
    ) -> None:
        """Whatever is done to a good head, in pieces or whole, within a limit or beyond it."""
        data, steps = in_pieces(changed(data.replace(b" / ", b" /rdv ", 1), changes), before)
        self.assert_alike(data, steps, asked=asked)


class ShortcutTestCase(WebTestCase):
    """A site with the shortcut."""

    def listener(self) -> IProtocolFactory:
        self.shortcut = ShortcutFactory(self.site)
        return self.shortcut

    def serve(self, root: Resource) -> None:
        """Let a site with that root be listened for."""
        self.site = Site(root, reactor=self.clock)
        self.factory = self.listener()


class WhoTests(ShortcutTestCase):
    """Who takes it."""

    def assert_taken(self, number: int, path: bytes = b"/rdv") -> Browser:
        """A client comes, and so many have taken it since the factory was made."""
        browser = self.browse(request(path=path))
        self.assertEqual(self.shortcut.taken, number)
        return browser

    def test_plain(self) -> None:
        """A head in one piece, at any path below."""
        self.assert_waiting(self.assert_taken(1))
        self.browse(request(b"ACCEPT", path=b"/rdv/below"))
        self.assertEqual((self.shortcut.taken, self.rendezvous.pairs), (2, 1))
        self.assertIsInstance(self.at_server.protocol, Leg)

    def test_in_pieces(self) -> None:
        browser = self.browse(request()[:50])
        self.send(browser, request()[50:])
        self.assert_waiting(browser)
        self.assertEqual(self.shortcut.taken, 0)

    def test_page(self) -> None:
        """Any number of requests on one connection, and an offer behind them."""
        root = page()
        root.putChild(b"rdv", RendezvousResource(self.rendezvous))
        self.serve(root)
        browser = self.browse(request(b"GET", path=b"/"))
        self.assertEqual(browser.answer().body, "a page")
        self.send(browser, request(b"GET", path=b"/"))
        self.assertEqual(browser.answer().body, "a page")
        self.send(browser, request())
        self.assert_waiting(browser)
        self.assertEqual(self.shortcut.taken, 0)

    def test_root(self) -> None:
        """The resource may be all there is."""
        self.serve(RendezvousResource(self.rendezvous))
        self.assert_waiting(self.assert_taken(1, b"/anywhere/at-all"))

    def test_below_pages(self) -> None:
        """Pages of whatever kind, as long as they were given their children."""

        class Page(Resource):
            def render_GET(self, request: Request) -> bytes:
                return b"a page"

        root, folder = Page(), File("/nowhere")
        root.putChild(b"files", folder)
        folder.putChild(b"rdv", RendezvousResource(self.rendezvous))
        self.serve(root)
        self.assert_waiting(self.assert_taken(1, b"/files/rdv"))

    def test_several(self) -> None:
        """Each leads to its own rendezvous."""
        root, other = page(), Rendezvous(self.clock)
        root.putChild(b"one", RendezvousResource(self.rendezvous))
        root.putChild(b"two", RendezvousResource(other))
        self.serve(root)
        self.assert_waiting(self.assert_taken(1, b"/one"))
        self.assert_taken(2, b"/two")
        self.assertEqual((self.rendezvous.waiting, other.waiting), (1, 1))

    def test_demanding(self) -> None:
        """A resource that looks at more than the offer is asked."""
        for more in (
            {"identify": lambda request: "alice"},
            {"observed_address": lambda request: parse_address("192.0.2.9:9")},
            {"door": Door([lambda visitor: None])},
        ):
            self.mount(RendezvousResource(self.rendezvous, **more))
            self.assert_waiting(self.assert_taken(0))
            self.at_client.loseConnection()
            self.clock.advance(0)

    def test_own_render(self) -> None:
        """Neither of a class nor of an object is bypassed."""

        class Guarded(RendezvousResource):
            def render(self, request: IRequest) -> bytes:
                return b"guarded"

        changed = RendezvousResource(self.rendezvous)
        changed.render = lambda request: b"guarded"  # type: ignore[method-assign]
        for resource in (Guarded(self.rendezvous), changed):
            self.mount(resource)
            self.assertEqual(self.assert_taken(0).answer().body, "guarded")

    def test_mounted_later(self) -> None:
        """What counts is what there is when a client comes."""
        root = page()
        self.serve(root)
        self.assertEqual(self.assert_taken(0).answer().status, 404)
        root.putChild(b"rdv", RendezvousResource(self.rendezvous))
        self.assert_waiting(self.assert_taken(1))
        root.putChild(b"rdv", Data(b"moved", "text/plain"))
        self.assertEqual(self.assert_taken(1).answer().status, 501)

    def test_full(self) -> None:
        """The resource says so."""
        self.patch(self.rendezvous, "has_room", lambda leg, transport: False)
        answer = self.assert_taken(0).answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (503, "close"))
        self.assertEqual(dict(self.rendezvous.statistics.refusals), {(503, "full"): 1})

    def test_closing(self) -> None:
        self.rendezvous.close()
        self.assertEqual(self.assert_taken(0).answer().status, 503)

    def test_no_address(self) -> None:
        """Nothing of ours is between the site and a Unix socket."""
        for address in (UNIXAddress("/x"), None):
            made: Any = self.shortcut.buildProtocol(address)
            self.assertIs(type(made), type(self.site.buildProtocol(address)))

    def test_failure(self) -> None:
        """Leaves nothing behind."""

        def fail(leg: object) -> None:
            raise ZeroDivisionError

        self.patch(self.rendezvous, "enter", fail)
        self.browse(request())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.shortcut._slim.waiting), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CountingTests(ShortcutTestCase):
    """Limits count what they count without it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rendezvous = Rendezvous(
            self.clock, limits=Limits(connections=1, waiting=0, pairs=0, requests=1, failures=0)
        )
        root = page()
        root.putChild(b"rdv", RendezvousResource(self.rendezvous))
        self.serve(root)

    def test_other_requests(self) -> None:
        """Are none of the rendezvous."""
        for _ in range(20):
            self.assertEqual(self.browse(request(b"GET", path=b"/")).answer().status, 200)
            self.browse()
        self.assertEqual(sum(self.rendezvous.admission.hits.totals.values()), 0)
        self.browse(request())
        self.assertEqual(self.shortcut.taken, 1)

    def test_named(self) -> None:
        """What clients say of themselves tells of a proxy."""
        named: list[object] = []
        self.patch(self.rendezvous.admission, "named", lambda lease, *said: named.append(said))
        address = IPv4Address("TCP", "10.0.0.1", 4000)
        self.browse(request(rdv_self_addrs=b"10.0.0.9:5"), address)
        self.browse(request(rdv_self_addrs=b"10.0.0.9:5", more=b"Cookie: a=b\r\n"), address)
        self.assertEqual(named, [("10.0.0.1", "10.0.0.9:5")] * 2)
        self.assertEqual(self.shortcut.taken, 1)

    def test_requests(self) -> None:
        """Each counts once, whichever way it takes; the connections are the site's business."""
        browsers = [self.browse(request(rdv_token=b"%d" % n)) for n in range(10)]
        self.assertEqual([each.received for each in browsers], [b""] * 10)
        answer = self.browse(request()).answer()
        self.assertEqual((answer.status, self.shortcut.taken), (429, 10))
        self.assertEqual(self.rendezvous.admission.hits.totals["requests"], 1)
        self.assertEqual(sum(self.rendezvous.statistics.refusals.values()), 1)


class ShortcutRefusalTests(ShortcutTestCase, test_resource.RefusalTests):
    """Answered as everywhere."""


class ShortcutAcceptanceTests(ShortcutTestCase, test_resource.AcceptanceTests):
    """Taken as everywhere."""


class ShortcutDetachTests(ShortcutTestCase, test_detach.DetachTests):
    """Taken as everywhere."""


class ShortcutGuardTests(ShortcutTestCase, test_detach.GuardTests):
    """Guarded as everywhere."""


class ShortcutPlainTests(ShortcutTestCase, test_wrapped.PlainTests):
    """With nothing in front of the site."""


class ShortcutProxiedTests(ShortcutTestCase, test_wrapped.ProxiedTests):
    """Behind ``haproxy:``."""


class ShortcutTLSTests(ShortcutTestCase, test_wrapped.TLSTests):
    """In TLS."""


class ShortcutProxiedTLSTests(ShortcutTestCase, test_wrapped.ProxiedTLSTests):
    """In both."""
