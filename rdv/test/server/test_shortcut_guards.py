"""The shortcut bypasses nobody who looks at requests, and stands in for the site."""

from __future__ import annotations

import io
import sys
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet import reactor as global_reactor
from twisted.internet.interfaces import (
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.policies import LimitTotalConnectionsFactory, WrappingFactory
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import GzipEncoderFactory, Request, Site
from twisted.web.static import Data
from twisted.web.vhost import NameVirtualHost

from rdv._system.clock import Alarm, monotonic
from rdv.server import RendezvousResource, ShortcutFactory
from rdv.test.doubles import CLIENT, present
from rdv.test.server.doubles import request
from rdv.test.server.test_shortcut import ShortcutTestCase, page


class Realm:
    """Everybody whose password is right gets that resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def requestAvatar(self, *arguments: object) -> object:
        return IResource, self._resource, lambda: None


class GuardTests(ShortcutTestCase):
    """Who decides about requests is not bypassed."""

    def assert_guarded(self, status: int = 404) -> None:
        """A client with nothing but an offer is turned away, as without the shortcut."""
        browser = self.browse(request())
        self.assertEqual(browser.received[:12], b"HTTP/1.1 %d" % status)
        self.assertEqual((self.rendezvous.waiting, self.shortcut.taken), (0, 0))

    def test_password(self) -> None:
        database = InMemoryUsernamePasswordDatabaseDontUse()
        database.addUser(b"alice", b"secret")
        realm: Any = Realm(RendezvousResource(self.rendezvous))
        portal = Portal(realm, [database])
        guarded: Any = HTTPAuthSessionWrapper(portal, [BasicCredentialFactory(b"rdv")])
        self.mount(guarded)
        self.assert_guarded(401)
        login = b"Authorization: Basic YWxpY2U6c2VjcmV0\r\n"
        self.assert_waiting(self.browse(request(more=login)))

    def test_virtual_host(self) -> None:
        """Only at the host that has it."""
        hosts, root = NameVirtualHost(), page()
        root.putChild(b"rdv", RendezvousResource(self.rendezvous))
        hosts.addHost(b"rdv.example", root)
        self.serve(hosts)
        self.assert_guarded()
        self.assert_waiting(self.browse(request(host=b"rdv.example")))
        self.assertEqual(self.shortcut.taken, 0)

    def test_own_lookup(self) -> None:
        """Neither of a class nor of an object."""
        resource = RendezvousResource(self.rendezvous)

        class Choosy(Resource):
            def getChildWithDefault(self, path: bytes, request: object) -> Resource:
                return page()

        class Dynamic(Resource):
            def getChild(self, path: bytes, request: object) -> Resource:
                return page()

        class Odd(dict[bytes, Resource]):
            def __getitem__(self, path: bytes) -> Resource:
                return page()

        odd = Resource()
        odd.children = Odd()
        one_choosy = Resource()
        one_choosy.getChildWithDefault = lambda path, request: page()  # type: ignore[method-assign]
        for root in (Choosy(), one_choosy, odd):
            root.putChild(b"rdv", resource)
            self.serve(root)
            self.assert_guarded(501)
        self.serve(Dynamic())
        self.assert_guarded(501)

    def test_leaf(self) -> None:
        """Who answers for everything below has no children, whatever it was given."""
        root = Data(b"a page", "text/plain")
        root.isLeaf = True
        root.putChild(b"rdv", RendezvousResource(self.rendezvous))
        self.serve(root)
        self.assert_guarded(501)

    def test_encoded(self) -> None:
        """Who wraps a resource may do anything."""
        wrapped: Any = EncodingResourceWrapper(
            RendezvousResource(self.rendezvous), [GzipEncoderFactory()]
        )
        self.mount(wrapped)
        self.assert_waiting(self.browse(request()))
        self.assertEqual(self.shortcut.taken, 0)


class ListeningTests(ShortcutTestCase):
    """It stands in for the site."""

    def test_refused(self) -> None:
        """A site that looks at requests itself, in whatever way."""

        class OwnSite(Site):
            def getResourceFor(self, request: Request) -> Resource:
                return page()

        class OwnProtocols(Site):
            def buildProtocol(self, addr: object) -> Any:
                return None

        class OwnProtocol(Site):
            protocol = http.HTTPChannel  # type: ignore[assignment]

        changed = Site(page())
        changed.getResourceFor = lambda request: page()  # type: ignore[method-assign]
        wrong: list[tuple[Any, str]] = [
            (OwnSite(page()), "getResourceFor"),
            (OwnProtocols(page()), "buildProtocol"),
            (OwnProtocol(page()), "protocol"),
            (changed, "getResourceFor"),
            (Site(page(), requestFactory=lambda channel, queued: None), "requestFactory"),
            (Site(page(), requestFactory=http.Request), "requestFactory"),
            (LimitTotalConnectionsFactory(), "a Site is needed"),
            (RendezvousResource(self.rendezvous), "a Site is needed"),
        ]
        for site, name in wrong:
            error = self.assertRaises(TypeError, ShortcutFactory, site)
            self.assertIn(name, str(error))

    def test_accepted(self) -> None:
        """What concerns answers, logs and sessions is the site's own business."""

        class OwnRequest(Request):
            more = 1

            def finish(self) -> None:
                super().finish()

        class OwnSite(Site):
            def log(self, request: http.Request) -> None:
                pass

        self.shortcut = ShortcutFactory(OwnSite(self.site.resource, OwnRequest, reactor=self.clock))
        self.factory = self.shortcut
        self.assert_waiting(self.browse(request()))
        self.assertEqual(self.shortcut.taken, 1)

    def test_starts_and_stops(self) -> None:
        """The site does, once for all ports; and says so if it would."""
        self.assertIs(self.shortcut.noisy, self.site.noisy)
        self.assertEqual(self.shortcut.logPrefix(), self.site.logPrefix())
        with capturedLogs() as events:
            self.shortcut.doStart()
            self.shortcut.doStart()
        self.assertEqual(len(events), 1)
        self.assertEqual(self.site.numPorts, 2)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the date in the site's log
        self.shortcut.doStop()
        self.shortcut.doStop()
        self.assertEqual((self.site.numPorts, self.clock.getDelayedCalls()), (0, []))

    def test_alarm(self) -> None:
        """While a port listens, one is kept for all clients; then nothing is left."""
        reactor: Any = global_reactor
        shortcut = ShortcutFactory(Site(page(), reactor=reactor))

        def alarms() -> int:
            monotonic(reactor).callLater(60, self.fail).cancel()
            return sum(isinstance(each, Alarm) for each in reactor.getReaders())

        shortcut.doStart()
        self.assertEqual(alarms(), sys.platform == "linux")
        shortcut.doStop()
        self.assertEqual(alarms(), 0)

    def test_negotiation(self) -> None:
        """TLS may offer what the site speaks."""
        self.patch(http, "H2_ENABLED", True)
        self.assertTrue(IProtocolNegotiationFactory.providedBy(self.shortcut))
        self.assertEqual(self.shortcut.acceptableProtocols(), [b"h2", b"http/1.1"])

    def test_access_log(self) -> None:
        """One line for each request that is answered; none for a client that is taken over."""
        self.site.logFile = io.StringIO()
        self.browse(request(b"GET"))
        self.browse(request())
        lines = self.site.logFile.getvalue().splitlines()
        self.assertEqual((len(lines), self.shortcut.taken), (1, 1))

    def test_timeouts(self) -> None:
        """Are those of the site when a client comes; it may have none."""
        self.site.timeOut = 5
        self.browse()
        self.clock.advance(4.9)
        self.assertTrue(self.at_server.connected)
        self.clock.advance(0.1)
        self.assertFalse(self.at_server.connected)
        self.site.timeOut = None
        browser = self.browse()
        self.clock.advance(1000)
        self.send(browser, request(b"GET"))
        self.clock.advance(1000)
        self.assertTrue(self.at_server.connected)
        self.assertEqual(browser.answer().status, 400)

    def test_no_time(self) -> None:
        """None at all, as the site has it."""
        self.site.timeOut = 0
        self.browse()
        self.clock.advance(0.001)
        self.assertFalse(self.at_server.connected)

    def test_any_transport(self) -> None:
        """One that lets no other protocol receive gets the same answers."""
        answers = []
        for factory in (self.shortcut, self.site):
            transport = StringTransport(peerAddress=CLIENT)
            protocol = present(factory.buildProtocol(CLIENT))
            protocol.makeConnection(transport)
            for piece in (b"GET /x HTTP/1.1\r\n", b"Host: a\r\n\r\n"):
                protocol.dataReceived(piece)
            answers.append(transport.value()[:20])
            self.assertFalse(hasattr(transport, "protocol"))
            protocol.connectionLost(connectionDone)
        self.assertEqual(answers, [b"HTTP/1.1 404 Not Fou"] * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sniffed(self) -> None:
        """A protocol that looks at the data, and passes it on, keeps its place."""
        seen: list[bytes] = []
        make = self.shortcut.buildProtocol

        class Sniffing(Protocol):
            def connectionMade(self) -> None:
                self.inner = present(make(CLIENT))
                self.inner.makeConnection(present(self.transport))

            def dataReceived(self, data: bytes) -> None:
                seen.append(data)
                self.inner.dataReceived(data)

            def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
                seen.append(b"")
                self.inner.connectionLost(reason)

        self.factory = Factory.forProtocol(Sniffing)
        page = request(b"GET", path=b"/nowhere")
        browser = self.browse(page)
        self.send(browser, page)
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(seen, [page, page, b""])
        self.assert_waiting(self.browse(request()))
        self.assertEqual(self.shortcut.taken, 0)

    def test_wrapped(self) -> None:
        """Behind another factory, the site answers."""
        self.factory = WrappingFactory(self.shortcut)
        self.assert_waiting(self.browse(request()))
        self.assertEqual(self.shortcut.taken, 0)
