"""The shortcut bypasses no request class that may look at requests itself."""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request, Site

from rdv.server import ShortcutFactory
from rdv.server.shortcut import _OF_REQUESTS
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
