"""The shortcut bypasses no request class that decides itself, and no change of the site."""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request, Site

from rdv.server import ShortcutFactory
from rdv.server.shortcut import _OF_REQUESTS
from rdv.test.doubles import CLIENT
from rdv.test.server.doubles import request
from rdv.test.server.test_shortcut import ShortcutTestCase, page

#: Attributes of a request that are set, or used for an answer, and decide nothing before it.
UNDECISIVE = (
    "args",
    "cookies",
    "host",
    "notifications",
    "queued",
    "received_cookies",
    "responseHeaders",
    "setHeader",
    "sitepath",
    "transport",
)


class RequestClassTests(ShortcutTestCase):
    """Those of the site."""

    def test_refused(self) -> None:
        """Whatever may decide between the connection and the resource, wherever it comes from."""

        class OwnRender(Request):
            def render(self, resource: object) -> None:
                pass

        class OwnInit(Request):
            def __init__(self, channel: Any, queued: Any = None) -> None:
                super().__init__(channel, queued)

        class OwnNew(Request):
            def __new__(cls, *arguments: object) -> OwnNew:
                raise ValueError

        class OwnPath(Request):
            postpath = property(lambda self: [], lambda self, value: None)

        class OtherSite:
            site = property(lambda self: Site(page()), lambda self, value: None)

        class Mixed(Request, OtherSite):
            pass

        class Making(type):
            def __call__(cls, *arguments: object) -> None:
                raise ValueError

        class OwnType(Request, metaclass=Making):
            pass

        for kind, name in (
            (OwnRender, "OwnRender.render"),
            (OwnInit, "OwnInit.__init__"),
            (OwnNew, "OwnNew.__new__"),
            (OwnPath, "OwnPath.postpath"),
            (Mixed, "OtherSite.site"),
            (OwnType, "Making of OwnType"),
        ):
            site = Site(page(), requestFactory=kind)
            error = self.assertRaises(TypeError, ShortcutFactory, site)
            self.assertIn(name, str(error))

    def test_lead_to_resources(self) -> None:
        """All attributes by which twisted.web leads an offer to its resource are known."""
        used: set[str] = set()

        class Watched(Request):
            def __getattribute__(self, name: str) -> Any:
                used.add(name)
                return super().__getattribute__(name)

            def __setattr__(self, name: str, value: object) -> None:
                used.add(name)
                super().__setattr__(name, value)

        self.site = Site(self.site.resource, requestFactory=Watched, reactor=self.clock)
        self.factory = self.site
        self.assert_waiting(self.browse(request()))
        known = {*_OF_REQUESTS, *UNDECISIVE}
        self.assertEqual({name for name in used - known if not name.startswith("_")}, set())


class ChangeTests(ShortcutTestCase):
    """A site is changed after it has begun to listen."""

    def test_request_class(self) -> None:
        """Its requests do something else from now on."""

        class Closed(Request):
            def process(self) -> None:
                self.setResponseCode(403)
                self.setHeader(b"Content-Length", b"0")
                self.finish()

        browser = self.browse()
        self.site.requestFactory = Closed
        self.send(browser, request())
        self.assertEqual(browser.answer().status, 403)
        self.assertEqual((self.rendezvous.waiting, self.shortcut.taken), (0, 0))

    def test_turned_away(self) -> None:
        """The site turns all connections away, also those it does not know yet."""
        early, silent = self.browse(), self.browse()
        self.site.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        self.assertIsNone(self.shortcut.buildProtocol(CLIENT))
        self.send(early, request())
        self.clock.advance(60)
        self.clock.advance(0)
        self.assertEqual([each.received for each in (early, silent)], [b"", b""])
        self.assertTrue(early.read_ended and silent.read_ended)
        self.assertEqual(self.rendezvous.waiting, 0)
