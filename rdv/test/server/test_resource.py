"""Requests that are refused over plain HTTP, and those that are let in."""

from __future__ import annotations

from twisted.web.resource import Resource

from rdv.server import RendezvousResource
from rdv.test.server.doubles import Answer, Browser, WebTestCase, request


class RefusalTests(WebTestCase):
    """Each cause of section 2 that can be seen in the request alone."""

    def assert_refused(self, status: int, data: bytes, why: str = "") -> Browser:
        """Assert that it gets an ordinary answer with one line of text in it."""
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

    def test_no_upgrade_to_rdv(self) -> None:
        for data, why in (
            (request(connection=None), "Connection"),
            (request(connection=b"keep-alive"), "Connection"),
            (request(connection=b"close"), "Connection"),
            (request(upgrade=None), "Upgrade"),
            (request(upgrade=b"websocket"), "Upgrade"),
            (request(upgrade=b"rdv/2"), "Upgrade"),
            (request(b"GET", connection=None, upgrade=None, rdv_token=None), "Connection"),
            (request(version=b"HTTP/1.0"), "HTTP/1.1"),
        ):
            self.assert_refused(426, data, why)

    def test_upgrade_required_is_hop_by_hop(self) -> None:
        """RFC 9110, 7.8: who sends Upgrade says so in Connection, or a proxy drops it."""
        browser = self.browse(request(upgrade=None))
        self.assertEqual(browser.answer().headers["connection"], "upgrade")

    def test_method(self) -> None:
        for method in (b"GET", b"POST", b"OPTIONS", b"dial", b"Accept", b"DIALS"):
            self.assert_refused(400, request(method), "method")

    def test_token(self) -> None:
        for token, why in (
            (None, "missing Rdv-Token"),
            (b"", "empty"),
            (b"   ", "empty"),
            (b"x" * 8193, "8193 bytes"),
            (b"\xff\xfe", "UTF-8"),
            (b"a\tb", "control character"),
            (b"a\x7fb", "control character"),
            ("a\u0085b".encode(), "control character"),
        ):
            self.assert_refused(400, request(rdv_token=token), why)
        self.assert_refused(400, request(more=b"rdv-token: other\r\n"), "more than one")

    def test_addresses(self) -> None:
        ten = b", ".join(b"192.0.2.%d:1" % number for number in range(10))
        for addresses in (b"x", b"1.2.3.4", b"1.2.3.4:80, x", b"[fe80::1%eth0]:1", ten):
            self.assert_refused(400, request(rdv_self_addrs=addresses), "Rdv-Self-Addrs")
        two = b"Rdv-Self-Addrs: " + ten + b"\r\n"
        self.assert_refused(400, request(more=two), "more than 9")

    def test_body(self) -> None:
        """Bytes before the response, if well wrapped."""
        self.assert_refused(
            400, request(more=b"Content-Length: 5\r\n") + b"early", "bytes before the response"
        )
        chunked = request(more=b"Transfer-Encoding: chunked\r\n") + b"5\r\nearly\r\n0\r\n\r\n"
        self.assert_refused(400, chunked, "bytes before the response")

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
        self.assertEqual(self.browse(request(path=b"/")).answer().status, 404)
        self.assertEqual(self.browse(request(path=b"/rdv2")).answer().status, 404)

    def test_connection_stays_usable(self) -> None:
        """An ordinary answer: the client may try better on the same connection."""
        browser = self.assert_refused(400, request(rdv_token=None))
        self.send(browser, request(b"GET", path=b"/", connection=None))
        self.assertEqual(browser.answer().status, 404)
        self.send(browser, request())
        self.assert_waiting(browser)

    def test_refused_leave_nothing_behind(self) -> None:
        """But the site's own timeout for the connection."""
        browser = self.assert_refused(426, request(upgrade=None))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertTrue(browser.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AcceptanceTests(WebTestCase):
    """Requests that are good, though perhaps not pretty."""

    def assert_let_in(self, data: bytes, piece: int = 0) -> None:
        """Assert that it waits; then it goes."""
        self.assert_waiting(self.browse(data, piece=piece))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.rendezvous.waiting, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_both_methods(self) -> None:
        self.assert_let_in(request(b"DIAL"))
        self.assert_let_in(request(b"ACCEPT"))

    def test_lists_in_any_case(self) -> None:
        for connection in (b"Upgrade", b"UPGRADE", b"keep-alive, Upgrade", b"Upgrade,keep-alive"):
            self.assert_let_in(request(connection=connection))
        for other in (b"keep-alive", b"close"):
            self.assert_let_in(request(connection=other, more=b"connection: upgrade\r\n"))
        for upgrade in (b"RDV/1", b"websocket, rdv/1"):
            self.assert_let_in(request(upgrade=upgrade))

    def test_no_addresses(self) -> None:
        self.assert_let_in(request(rdv_self_addrs=None))
        self.assert_let_in(request(rdv_self_addrs=b""))

    def test_as_much_as_may_be(self) -> None:
        nine = b", ".join(b"[2001:db8:1:2:3:4:5:%x]:65535" % number for number in range(9))
        self.assert_let_in(request(rdv_token=b"x" * 8192, rdv_self_addrs=nine))

    def test_unusual_tokens(self) -> None:
        for token in ("grüße, €", "a b  c", "a,b;c=d", '"', "\u200b"):
            self.assert_let_in(request(rdv_token=token.encode()))

    def test_other_headers(self) -> None:
        self.assert_let_in(request(more=b"Authorization: Bearer x\r\nCookie: a=b\r\n"))

    def test_empty_body(self) -> None:
        self.assert_let_in(request(more=b"Content-Length: 0\r\n"))

    def test_query(self) -> None:
        self.assert_let_in(request(path=b"/rdv?user=1"))

    def test_byte_by_byte(self) -> None:
        self.assert_let_in(request(), piece=1)

    def test_below_other_resources(self) -> None:
        """It is a leaf like any other."""

        class Above(Resource):
            """Has it far below."""

            def getChild(self, path: bytes, request: object) -> Resource:
                return below if path == b"below" else self

        below = RendezvousResource(self.rendezvous)
        self.mount(Above())
        self.assert_let_in(request(path=b"/rdv/any/below/more"))
