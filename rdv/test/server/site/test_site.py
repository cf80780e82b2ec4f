"""
The site of a standalone server: what it refuses, and what it does not store.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.error import ConnectionDone
from twisted.internet.ssl import TLSVersion
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request

from rdv._system.verbosity import show_from
from rdv.server.site.short_way import ShortWay
from rdv.server.site.site import RendezvousSite
from rdv.test.doubles import CLIENT, connect, ends, present
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.transport.doubles import TLSPeer, with_tls

REACTOR: Any = global_reactor
KIB = 1 << 10


class SiteTestCase(WebTestCase):
    """The site of a standalone server."""

    short_way = False

    def setUp(self) -> None:
        super().setUp()
        way = ShortWay(self.rendezvous, b"/rdv") if self.short_way else None
        self.site = self.factory = RendezvousSite(self.site.resource, self.clock, way)

    def kept_by(self, channel: object) -> int:
        """How many bytes it has not been rid of."""
        assert isinstance(channel, HTTPChannel)
        kept: bytes = channel.clearLineBuffer()
        return len(kept)


LONG = request(more=b"X: %s\r\n" % (b"x" * 60 * KIB))
LENGTH = b"Content-Length: 1025\r\n"
CHUNKED = request(b"POST", more=b"Transfer-Encoding: chunked\r\n")
#: Requests that are too large or malformed, and how they are answered.
REFUSED = [
    (431, LONG),
    (431, request(more=b"X: %s\r\n" % (b"x" * 16 * KIB))),
    (431, request(more=b"X: y\r\n" * 512)),
    (431, request(more=b"X: y\r\n" + b" \r\n" * 512)),
    (414, request(path=b"/" + b"x" * 60 * KIB)),
    (413, request(b"POST", more=LENGTH) + b"x" * 1025),
    (413, CHUNKED + (b"200\r\n" + b"x" * 0x200 + b"\r\n") * 3),
    (400, b"\x16\x03\x01\r\n\r\n"),
    (400, b"SSH-2.0-x\r\n"),
    (400, request(more=b"no colon\r\n")),
    (400, CHUNKED + b"many\r\n"),
    # Good requests after it: there is only one answer.
    (431, LONG + request() * 3),
    (400, b"nonsense\r\n" + request(b"GET") * 3),
]


class RefusalTests(SiteTestCase):
    """A request is answered while the client may still be sending."""

    def refused(self, status: int, data: bytes, piece: int = 0) -> Browser:
        """Assert that a client that sends this gets that answer, once, and an end behind it."""
        browser = self.browse(data, piece=piece)
        self.assertEqual(browser.read_ended, 1)
        self.assertIsNone(browser.lost)
        answer = browser.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (status, "close"))
        self.assertEqual(self.rendezvous.waiting, 0)
        return browser

    def test_refused(self) -> None:
        """However it comes."""
        for status, data in REFUSED:
            for piece in (0, 1000):
                self.refused(status, data, piece)

    def test_as_large_as_allowed(self) -> None:
        """Also again on the same connection."""
        browser = self.browse()
        large = request(b"GET", more=b"X: %s\r\n" % (b"x" * 16000))
        for _ in range(3):
            self.send(browser, large)
            self.assertEqual(browser.answer().status, 400)
        self.send(browser, request())
        self.assert_waiting(browser)

    def test_client_closes(self) -> None:
        """Or does not."""
        for closes in (True, False):
            self.refused(400, b"nonsense\r\n")
            if closes:
                self.at_client.loseConnection()
            self.clock.advance(0 if closes else 5)
            self.assertEqual(
                (self.at_server.connected, self.at_server.aborted), (False, not closes)
            )
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_goes_on(self) -> None:
        """What it sends is dropped, up to a megabyte."""
        browser = self.refused(400, b"nonsense\r\n")
        for _ in range(16):
            self.send(browser, b"a\r\n" * (1 << 14))
        self.assertEqual(self.kept_by(self.at_server.protocol), 0)
        self.assertIsNone(browser.lost)
        for _ in range(16):
            self.send(browser, b"a\r\n" * (1 << 14))
        self.assertFalse(present(browser.lost).check(ConnectionDone))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SlowTests(SiteTestCase):
    """A byte now and then does not keep a connection open."""

    def assert_cut(self, browser: Browser, turns: int) -> None:
        """It is, within so many pieces of three seconds, and another one."""
        for _ in range(turns):
            self.assertTrue(self.at_server.connected)
            self.clock.advance(3)
            self.send(browser, b"x")
        self.assertTrue(self.at_server.connected)
        self.clock.advance(1)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_head(self) -> None:
        self.assert_cut(self.browse(b"D"), 3)

    def test_body(self) -> None:
        self.assert_cut(self.browse(request(b"POST", more=b"Content-Length: 100\r\n")), 3)

    def test_another_request(self) -> None:
        """It has its own time."""
        browser = self.browse()
        for _ in range(3):
            self.clock.advance(9)
            self.send(browser, request(b"GET"))
            self.assertEqual(browser.answer().status, 400)
        self.assert_cut(browser, 3)


class OrdinaryTests(SiteTestCase):
    """Ordinary answers."""

    def test_last_one(self) -> None:
        """The connection is closed at once."""
        browser = self.browse(request(b"GET", connection=b"close"))
        self.assertEqual(browser.answer().status, 426)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_head(self) -> None:
        """An answer without a body, and no complaint about one that was eaten."""
        with capturedLogs() as said:
            browser = self.browse(request(b"HEAD", connection=None))
        head, _, body = browser.received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 426 "), head)
        self.assertIn(b"Content-Length: 28", head)
        self.assertEqual(body, b"")
        self.assertEqual([each for each in said if each.get("event") != "request"], [])


class TLSTests(SiteTestCase):
    """Twisted's TLS reads on until the client has closed as well, and it need not."""

    def setUp(self) -> None:
        super().setUp()
        tls = with_tls(self.site, self.clock, False, TLSVersion.TLSv1_3)
        self.peer = TLSPeer(True)
        below, self.at_peer = ends(self.clock)
        self.at_peer.protocol = self.peer
        self.tls: Any = tls.buildProtocol(CLIENT)
        below.protocol = self.tls
        self.tls.makeConnection(below)
        self.peer.makeConnection(self.at_peer)
        self.clock.advance(0)

    def say(self, data: bytes) -> None:
        """Send something."""
        self.at_peer.write(self.peer.sealed(data))
        self.clock.advance(0)

    def flood(self) -> None:
        """What goes on is not kept, and not taken for ever."""
        self.assertTrue(self.peer.notified)
        for _ in range(16):
            self.say(b"a\r\n" * (1 << 14))
        self.assertEqual(self.kept_by(self.tls.wrappedProtocol), 0)
        self.assertIsNone(self.peer.lost)
        self.clock.advance(5)
        self.assertIsNotNone(self.peer.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_behind_the_last_answer(self) -> None:
        self.say(request(b"GET", connection=b"close"))
        self.assertIn(b"426 Upgrade Required", self.peer.plain)
        self.flood()

    def test_behind_a_refusal(self) -> None:
        self.say(request(more=b"X: %s\r\n" % (b"x" * 60 * KIB)))
        self.assertIn(b"431 Request Header Fields Too Large", self.peer.plain)
        self.flood()

    def test_nothing_but_http_1(self) -> None:
        """Whatever else is installed: rdv/1 is an upgrade of HTTP/1.1."""
        self.assertEqual(self.site.acceptableProtocols(), [b"http/1.1"])


class AccessLogTests(SiteTestCase):
    """A line for each request that is not a client's."""

    def logged(self, status: int, *arguments: Any, **changes: Any) -> list[LogEvent]:
        """What is logged of a request that gets that answer."""
        with capturedLogs() as events:
            self.assertEqual(self.browse(request(*arguments, **changes)).answer().status, status)
        return [event for event in events if event.get("event") == "request"]

    def test_date(self) -> None:
        """It is today's, whatever the reactor's clock counts from."""
        before = datetime.now(UTC).replace(microsecond=0)
        (event,) = self.logged(404, b"GET", path=b"/other")
        line = str(formatEvent(event))
        found = re.search(r"\[(.*?)\] \"GET /other HTTP/1\.1\" 404 ", line)
        assert found is not None, line
        logged = datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z")
        self.assertTrue(before <= logged <= datetime.now(UTC), line)

    def test_length(self) -> None:
        """What a stranger sends fills no disk: of each part there is the beginning."""
        long = b"x" * 3 * KIB
        more = b"User-Agent: %s\r\nReferer: %s\r\n" % (long, long)
        (event,) = self.logged(404, long, path=b"/" + long, more=more)
        line = str(formatEvent(event))
        self.assertIn("xxx... /xxx", line)
        self.assertIn('xxx... HTTP/1.1" 404 ', line)
        self.assertIn('xxx..." "xxx', line)
        self.assertLess(len(line) + len(event["method"]), 2 * KIB)

    def test_level(self) -> None:
        """Who only looks whether somebody is there is not worth much."""
        plain: dict[str, bytes | None] = {"connection": b"close"}
        for status, method, changes, level in (
            (426, b"GET", plain, "debug"),
            (426, b"OPTIONS", plain, "debug"),
            (426, b"POST", plain, "info"),
            (404, b"GET", {"path": b"/other"}, "info"),
            (400, b"DIAL", {"rdv_token": None}, "info"),
        ):
            (event,) = self.logged(status, method, **changes)
            self.assertEqual(event["log_level"].name, level, event)
            self.assertEqual((event["method"], event["status"]), (method.decode(), status))
            self.assertEqual(event["peer"], CLIENT.host)

    def test_not_made(self) -> None:
        """Where nobody sees it."""
        self.addCleanup(show_from, "debug")
        show_from("info")
        self.assertEqual(self.logged(426, b"GET", connection=b"close"), [])
        show_from("critical")
        self.assertEqual(self.logged(404, b"GET", path=b"/other"), [])


class BodyTests(WebTestCase):
    """What clients send after their requests."""

    def test_no_file(self) -> None:
        """However large it may be: a file would be one descriptor more."""
        contents: list[object] = []

        class Looked(Resource):
            isLeaf = True

            def render(self, request: Request) -> bytes:
                contents.append(request.content)
                return b""

        self.site = RendezvousSite(Looked(), self.clock)
        for header, body in (
            (b"Content-Length: 1024\r\n", b"x" * 1024),
            (b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n"),
        ):
            browser = Browser()
            channel = self.site.buildProtocol(CLIENT)
            self.at_server, self.at_client = connect(self.clock, channel, browser)
            self.send(browser, request(b"POST", more=header) + body)
            self.assertEqual(browser.answer().status, 200)
        self.assertEqual(list(map(type, contents)), [io.BytesIO] * 2)
