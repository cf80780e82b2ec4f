"""Requests that are refused over plain HTTP, and those that are let in."""

from __future__ import annotations

from twisted.web.resource import Resource

from rdv.server import RendezvousResource
from rdv.test.server.doubles import Answer, Browser, WebTestCase, request

CHUNKED = request(more=b"Transfer-Encoding: chunked\r\n")
NINE = b", ".join(b"[2001:db8:1:2:3:4:5:%x]:65535" % number for number in range(9))
TEN = b", ".join(b"192.0.2.%d:1" % number for number in range(10))

#: Each cause of section 2 that shows in the request alone: the status, what the text must name, and
#: requests.
REFUSED = [
    (426, "Connection", [request(connection=c) for c in (None, b"keep-alive", b"close")]),
    (426, "Connection", [request(b"GET", connection=None, upgrade=None, rdv_token=None)]),
    (426, "Upgrade", [request(upgrade=each) for each in (None, b"websocket", b"rdv/2")]),
    (426, "HTTP/1.1", [request(version=b"HTTP/1.0")]),
    (400, "method", [request(m) for m in (b"GET", b"OPTIONS", b"dial", b"Accept", b"DIALS")]),
    (400, "missing Rdv-Token", [request(rdv_token=None)]),
    (400, "empty", [request(rdv_token=b""), request(rdv_token=b"   ")]),
    (400, "8193 bytes", [request(rdv_token=b"x" * 8193)]),
    (400, "secret", [request(rdv_token=b"rdvs1-abc"), request(rdv_token=b"RDVS2-x")]),
    (400, "UTF-8", [request(rdv_token=b"\xff\xfe")]),
    (400, "control character", [request(rdv_token=t) for t in (b"a\tb", b"a\x7fb", b"a\xc2\x85b")]),
    (400, "more than one", [request(more=b"rdv-token: other\r\n")]),
    (400, "Rdv-Self-Addrs", [request(rdv_self_addrs=each) for each in (b"x", b"1.2.3.4", TEN)]),
    (400, "Rdv-Self-Addrs", [request(rdv_self_addrs=b"1.2.3.4:80, x")]),
    (400, "Rdv-Self-Addrs", [request(rdv_self_addrs=b"[fe80::1%eth0]:1")]),
    (400, "more than 9", [request(more=b"Rdv-Self-Addrs: " + TEN + b"\r\n")]),
    # If well wrapped.
    (400, "bytes before the response", [request(more=b"Content-Length: 5\r\n") + b"early"]),
    (400, "bytes before the response", [CHUNKED + b"5\r\nearly\r\n0\r\n\r\n"]),
]

#: Valid requests, though some are unusual.
GOOD = [
    *(request(method) for method in (b"DIAL", b"ACCEPT")),
    *(request(connection=each) for each in (b"UPGRADE", b"keep-alive, Upgrade", b"Upgrade,x")),
    *(request(connection=each, more=b"connection: upgrade\r\n") for each in (b"x", b"close")),
    *(request(upgrade=upgrade) for upgrade in (b"RDV/1", b"websocket, rdv/1")),
    *(request(rdv_self_addrs=addresses) for addresses in (None, b"")),
    request(rdv_token=b"x" * 8192, rdv_self_addrs=NINE),
    *(
        request(rdv_token=each.encode())
        for each in ("grüße, €", "a b  c", "a,b;c=d", '"', "\u200b")
    ),
    request(more=b"Authorization: Bearer x\r\nCookie: a=b\r\n"),
    request(more=b"Content-Length: 0\r\n"),
    request(path=b"/rdv?user=1"),
]


class RefusalTests(WebTestCase):
    """An ordinary response with one line of text."""

    def assert_refused(self, status: int, data: bytes, why: str = "") -> Browser:
        """Assert that it gets that."""
        browser = self.browse(data)
        answer = browser.answer()
        self.assertEqual(answer.status, status, data)
        self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertIn(why, answer.body)
        self.assertEqual(answer.body.count("\n"), 1)
        self.assertTrue(answer.body.strip() and answer.body.endswith("\n"))
        self.assertEqual(answer.headers.get("upgrade"), "rdv/1" if status == 426 else None)
        self.assertEqual(self.rendezvous.waiting, 0)
        return browser

    def test_causes(self) -> None:
        for status, why, requests in REFUSED:
            for each in requests:
                self.assert_refused(status, each, why)

    def test_upgrade_required_is_hop_by_hop(self) -> None:
        """RFC 9110, 7.8: who sends Upgrade says so in Connection, or a proxy drops it."""
        browser = self.browse(request(upgrade=None))
        self.assertEqual(browser.answer().headers["connection"], "upgrade")

    def test_announced_body(self) -> None:
        """An interim answer is none of those a client expects, so there has to be a refusal."""
        browser = self.browse(request(more=b"Expect: 100-continue\r\n"))
        interim, _, answer = browser.received.partition(b"\r\n\r\n")
        self.assertEqual(interim, b"HTTP/1.1 100 Continue")
        self.assertEqual(Answer(answer).status, 400)
        self.assertEqual(self.rendezvous.waiting, 0)

    def test_closing(self) -> None:
        self.rendezvous.close()
        self.assert_refused(503, request(), "shutting down, try again")
        self.assert_refused(400, request(rdv_token=None))

    def test_another_path(self) -> None:
        for path in (b"/", b"/rdv2"):
            self.assertEqual(self.browse(request(path=path)).answer().status, 404)

    def test_connection_stays_usable(self) -> None:
        """Nothing is left of it but the site's timeout, and the client may try again on it."""
        browser = self.assert_refused(426, request(upgrade=None))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertTrue(browser.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        browser = self.assert_refused(400, request(rdv_token=None))
        self.send(browser, request(b"GET", path=b"/", connection=None))
        self.assertEqual(browser.answer().status, 404)
        self.send(browser, request())
        self.assert_waiting(browser)


class AcceptanceTests(WebTestCase):
    """Requests that are good."""

    def assert_let_in(self, data: bytes, piece: int = 0) -> None:
        """Assert that it waits; then it goes."""
        self.assert_waiting(self.browse(data, piece=piece))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.rendezvous.waiting, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_good(self) -> None:
        for each in GOOD:
            self.assert_let_in(each)
        self.assert_let_in(request(), piece=1)

    def test_below_other_resources(self) -> None:
        """It is a leaf like any other."""

        class Above(Resource):
            """A wrapper with the resource far below."""

            def getChild(self, path: bytes, request: object) -> Resource:
                return below if path == b"below" else self

        below = RendezvousResource(self.rendezvous)
        self.mount(Above())
        self.assert_let_in(request(path=b"/rdv/any/below/more"))
