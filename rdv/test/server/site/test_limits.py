"""
Limits for each address in a standalone server, and in a resource of another site.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.trial.unittest import TestCase

from rdv.server import Limits, forwarded_address
from rdv.server.limits.admission import Admission
from rdv.server.site.parts import make_rendezvous, make_site
from rdv.settings import ServerSettings
from rdv.test.doubles import HalfWire
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.sockets import REACTOR, until

HOG, GUEST = IPv4Address("TCP", "192.0.2.1", 4000), IPv4Address("TCP", "192.0.2.2", 4000)


class SettingsTests(TestCase):
    def test_defaults(self) -> None:
        """An operator who says nothing has the defaults of :class:`Limits`."""
        settings = ServerSettings()
        names = ("connections", "waiting", "pairs", "requests", "failures")
        self.assertEqual(Limits(*(getattr(settings, f"limit_{name}") for name in names)), Limits())


class SiteTests(WebTestCase):
    """A standalone server, with clients in memory."""

    def start(self, **settings: Any) -> None:
        """Begin with these settings."""
        chosen = ServerSettings(path="/rdv", **settings)
        self.rendezvous = make_rendezvous(self.clock, chosen)
        self.factory = make_site(self.clock, chosen, self.rendezvous)

    def assert_too_many(self, browser: Browser, word: str) -> None:
        """It has been told so, and when to come again; then it is closed."""
        answer = browser.answer()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (429, "10"))
        self.assertIn(word, answer.body)
        self.assertEqual(browser.read_ended, 1)

    def test_connections(self) -> None:
        """Silent ones too, from the first moment to the last."""
        self.start(limit_connections=3)
        first = self.browse(address=HOG)
        self.browse(b"DIAL /rdv", address=HOG)
        self.browse(request(), address=HOG)
        self.assert_too_many(self.browse(address=HOG), "connections")
        self.assert_too_many(self.browse(request(rdv_token=b"2"), address=HOG), "connections")
        self.assertEqual(
            self.browse(request(b"ACCEPT"), address=GUEST).received[:12], b"HTTP/1.1 101"
        )
        self.send(first, b"nonsense\r\n")
        self.assertEqual(first.answer().status, 400)
        self.assert_too_many(self.browse(address=HOG), "connections")  # while it lingers
        self.clock.advance(5)
        self.browse(request(rdv_token=b"3"), address=HOG)
        self.assertEqual(self.rendezvous.waiting, 1)

    def test_tls(self) -> None:
        """A handshake on a port without TLS is refused at once; it could never be a request."""
        self.start()
        browser = self.browse(b"\x16")
        answer = browser.answer()
        self.assertEqual(
            (answer.status, answer.body), (400, "TLS on a port without TLS: use http\n")
        )
        for data in b"\x17", b"\r\n\x16", b"D\x16":
            self.assertEqual(self.browse(data).received, b"")

    def test_all_end(self) -> None:
        """Whatever becomes of them, when they are gone they are not counted."""
        self.start(limit_connections=1, limit_requests=0, limit_failures=0, lobby_timeout=30)
        good = request()
        for data in (b"", good, good + b"x", good[:9], b"nonsense\r\n\r\n", request(b"GET"), good):
            browser = self.browse(data, address=HOG)
            self.assert_too_many(self.browse(good, address=HOG), "connections")
            self.at_client.abortConnection()
            browser.transport.abortConnection()  # type: ignore[union-attr]
            self.clock.advance(100)

    def test_requests(self) -> None:
        """Ten seconds' worth at once, be it on one connection, and of whatever kind."""
        self.start(limit_requests=1)
        browser = self.browse(address=HOG)
        for number in range(10):
            self.send(browser, request(b"GET", path=b"/rdv" if number % 2 else b"/elsewhere"))
            self.assertEqual(browser.answer().status, 400 if number % 2 else 404)
        self.send(browser, request())
        self.assert_too_many(browser, "requests")
        self.assert_too_many(self.browse(request(), address=HOG), "requests")
        self.browse(request(), address=GUEST)
        self.clock.advance(1)
        self.browse(request(b"ACCEPT"), address=HOG)
        self.assertEqual(self.rendezvous.pairs, 1)

    def test_full(self) -> None:
        """Who is told that there is no room has tried a token. Whoever comes again is welcome."""
        self.start(limit_failures=10, limit_connections=0, limit_requests=0)
        self.patch(self.rendezvous, "has_room", lambda leg, transport: False)
        for number in [*range(29), *range(10), 29]:
            browser = self.browse(request(rdv_token=b"%d" % number), address=HOG)
            self.assertEqual(browser.answer().status, 503)
        self.assert_too_many(self.browse(request(), address=HOG), "failed meetings")

    def test_port_0(self) -> None:
        """Somebody sends from there. It is no address, and still counts as one of its host."""
        self.start(limit_waiting=2)
        nowhere = IPv4Address("TCP", HOG.host, 0)
        for number in range(2):
            self.browse(request(rdv_token=b"%d" % number), address=nowhere)
        self.assert_too_many(self.browse(request(), address=nowhere), "wait")
        (told,) = self.rendezvous.admission.hits.take()
        self.assertEqual(told.worst, [(HOG.host, 1)])

    def test_flood(self) -> None:
        """Most are cut without an answer."""
        self.start(limit_requests=1, limit_connections=0)
        browsers = [self.browse(request(rdv_token=b"%d" % n), address=HOG) for n in range(100)]
        answered = [each for each in browsers if each.received]
        self.assertEqual((self.rendezvous.waiting, len(answered)), (10, 50))
        self.assertEqual(sum(each.lost is not None for each in browsers), 40)

    def test_behind_a_proxy(self) -> None:
        """By the address in its header; of the proxy itself nobody takes notice."""
        self.start(limit_requests=1, limit_connections=1, observed_header="x-real-ip")
        for number in range(10):
            one = self.browse(request(rdv_token=b"%d" % number, x_real_ip=b"192.0.2.7:5"))
            self.assertEqual(one.received, b"")
        self.assert_too_many(self.browse(request(x_real_ip=b"192.0.2.7:6")), "requests")
        self.browse(request(x_real_ip=b"192.0.2.8:6"))
        for _ in range(20):  # from nowhere
            self.browse(request(x_real_ip=None, rdv_token=b"?"))
        self.assertEqual(self.rendezvous.waiting, 12)

    def test_hidden(self) -> None:
        """Behind a proxy that nobody knows of they are counted as nobody's."""
        gateway = IPv4Address("TCP", "172.17.0.1", 4000)
        self.start(limit_requests=1, limit_waiting=3)
        for number in range(30):
            own = b"192.168.1.%d:5, 10.0.0.%d:5" % (number, number)
            self.browse(request(rdv_token=b"%d" % number, rdv_self_addrs=own), address=gateway)
        # Three may wait, and four are refused until it is known.
        self.assertEqual(self.rendezvous.waiting, 26)

    def test_none(self) -> None:
        """An operator who wants no limits has none."""
        self.start(limits=False)
        for number in range(300):
            self.browse(request(rdv_token=b"%d" % number), address=HOG)
        self.assertEqual(self.rendezvous.waiting, 300)


class EmbeddedTests(WebTestCase):
    """In another site, connections are not counted, but requests and their results are."""

    def limited(self, **numbers: int) -> None:
        """Set limits."""
        self.rendezvous.admission = Admission(self.clock, Limits(**numbers))

    def test_default(self) -> None:
        """None."""
        for number in range(300):
            self.browse(request(rdv_token=b"%d" % number))
        self.assertEqual(self.rendezvous.waiting, 300)

    def test_requests(self) -> None:
        self.limited(requests=1)
        browser = self.browse()
        for _ in range(10):
            self.send(browser, request(b"NONSENSE"))
            self.assertEqual(browser.answer().status, 400)
        answer = self.browse(request()).answer()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (429, "10"))
        self.clock.advance(1)
        self.assert_waiting(self.browse(request()))

    def test_waiting(self) -> None:
        """By the address that is observed."""
        self.observing(forwarded_address("x-real-ip"))
        self.limited(waiting=2)
        came = [
            self.browse(request(rdv_token=b"%d" % n, x_real_ip=b"192.0.2.%d:5" % (n % 2)))
            for n in range(6)
        ]
        self.assertEqual([each.received[:12] for each in came[4:]], [b"HTTP/1.1 429"] * 2)
        self.assertEqual(self.rendezvous.waiting, 4)


class SocketTests(TestCase):
    """The shortcut, over sockets: connections that never reach an HTTP channel."""

    timeout = 30

    async def test_short_way(self) -> None:
        """Three of one address, and what they leave behind."""
        settings = ServerSettings(limit_connections=3, limit_failures=0)
        rendezvous = make_rendezvous(REACTOR, settings)
        port = REACTOR.listenTCP(0, make_site(REACTOR, settings, rendezvous), interface="127.0.0.1")
        self.addCleanup(port.stopListening)

        async def come(token: bytes, host: str = "127.0.0.2") -> HalfWire:
            wire = HalfWire()
            number = port.getHost().port
            endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", number, bindAddress=(host, 0))
            await connectProtocol(endpoint, wire)
            wire.write(request(rdv_token=token))
            return wire

        wires = [await come(b"%d" % number) for number in range(3)]
        await until(lambda: rendezvous.waiting == 3)
        refused = await come(b"4")
        self.assertIn(b"HTTP/1.1 429 Too Many Requests\r\n", await refused.ended())
        guest = await come(b"5", "127.0.0.3")
        await until(lambda: rendezvous.waiting == 4)
        for wire in (*wires, refused, guest):
            wire.transport.abortConnection()  # type: ignore[union-attr]
        await until(lambda: not rendezvous.waiting)
        again = [await come(b"%d" % number) for number in range(3)]
        await until(lambda: rendezvous.waiting == 3)
        for wire in again:
            wire.transport.abortConnection()  # type: ignore[union-attr]
        await rendezvous.close()
