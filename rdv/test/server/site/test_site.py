"""The site of a server of its own: what it leaves to clients, and what it does not store."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from rdv.server import budget
from rdv.server.site.site import RendezvousSite
from rdv.test.doubles import CLIENT, connect
from rdv.test.server.doubles import Browser, WebTestCase, request

REACTOR: Any = global_reactor


class ScarceTests(TestCase):
    """A site with a port, to which nobody comes."""

    def setUp(self) -> None:
        self.patch(budget, "first_reserved", lambda: 1000)
        self.patch(budget, "reserve", lambda: 80)
        self.free = 10
        self.patch(budget, "lowest_free", lambda fd: self.free)
        self.clock: Any = Clock()
        self.site = RendezvousSite(Resource(), self.clock)

    async def test_time_for_a_request(self) -> None:
        """Less when descriptors are scarce, so that nobody holds those that are left."""
        port = REACTOR.listenTCP(0, self.site, interface="127.0.0.1")
        self.site.serves([port])
        for free, seconds in ((1000, 60), (1001, 5), (999, 60)):
            self.free = free
            self.assertEqual(self.site.buildProtocol(CLIENT).timeOut, seconds)
        self.free = 1040
        self.clock.advance(0)  # it is full, and looks again later
        await port.stopListening()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_ports(self) -> None:
        """As in a test, or under a port that is no socket."""
        self.free = 2000
        self.assertEqual(self.site.buildProtocol(CLIENT).timeOut, 60)


class AccessLogTests(WebTestCase):
    """A line for each request that is not a client's."""

    def test_date(self) -> None:
        """It is today's, whatever the reactor's clock counts from."""
        self.factory = self.site = RendezvousSite(Resource(), self.clock)
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)
        self.site.logFile = io.StringIO()
        before = datetime.now(UTC).replace(microsecond=0)
        self.assertEqual(self.browse(request(b"GET")).answer().status, 404)
        line = self.site.logFile.getvalue()
        found = re.search(r"\[(.*?)\] \"GET /rdv HTTP/1\.1\" 404 ", line)
        assert found is not None, line
        logged = datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z")
        self.assertTrue(before <= logged <= datetime.now(UTC), line)


class BodyTests(WebTestCase):
    """What clients send behind their requests."""

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
            (b"Content-Length: 60000\r\n", b"x" * 60000),
            (b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n"),
        ):
            browser = Browser()
            channel = self.site.buildProtocol(CLIENT)
            self.at_server, self.at_client = connect(self.clock, channel, browser)
            self.send(browser, request(b"POST", more=header) + body)
            self.assertEqual(browser.answer().status, 200)
        self.assertEqual(list(map(type, contents)), [io.BytesIO] * 2)
