"""
The admin port: what it answers, to which clients, and to how many.
"""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.accounting.metrics import Sample
from rdv.server.site.admin import prometheus
from rdv.server.site.admin.history import History
from rdv.server.site.admin.site import PAGE, admin_site, is_own
from rdv.test.doubles import connect, present
from rdv.test.server.doubles import Browser

SAMPLE: Sample = {
    "rdv_requests": {"dialer": 3, "acceptor": 4},
    "rdv_refusals": {"503 full": 2},
    "rdv_worker_up": {"0": 1, "1": 0},
}


class AdminTestCase(SynchronousTestCase):
    """
    A site whose numbers come from the test.

    :ivar looks: the requests for numbers.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[Deferred[Sample]] = []
        self.look: Any = lambda: succeed(SAMPLE)
        self.open()

    def open(self) -> None:
        """Begin anew."""
        self.site = admin_site(self.clock, lambda: self.look(), History())

    def look_later(self) -> Deferred[Sample]:
        """It takes a while."""
        self.looks.append(Deferred())
        return self.looks[-1]

    def come(self) -> Browser:
        """Connect."""
        browser = Browser()
        self.at_server, _ = connect(self.clock, present(self.site.buildProtocol(None)), browser)  # type: ignore[arg-type]
        return browser

    def ask(
        self, path: str, method: str = "GET", host: str = "127.0.0.1:9180", more: str = ""
    ) -> Browser:
        """Ask for something."""
        browser = self.come()
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"
        present(browser.transport).write(head.encode())
        self.clock.advance(0)
        return browser


class AnswerTests(AdminTestCase):
    def test_status(self) -> None:
        answer = self.ask("/status").answer()
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        found = json.loads(answer.body)
        self.assertEqual(found["requests"], {"dialer": 3, "acceptor": 4})
        self.assertEqual([each["up"] for each in found["workers"]], [True, False])

    def test_metrics(self) -> None:
        """In the format that is asked for."""
        answer = self.ask("/metrics").answer()
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version="))
        self.assertIn('rdv_refusals_total{reason="full",status="503"} 2.0\n', answer.body)
        accept = "Accept: application/openmetrics-text; version=1.0.0\r\n"
        answer = self.ask("/metrics", more=accept).answer()
        self.assertTrue(answer.headers["content-type"].startswith("application/openmetrics-text"))
        self.assertTrue(answer.body.endswith("# EOF\n"))

    def test_without_the_library(self) -> None:
        """It says what is missing; all else is there."""
        with patch.object(prometheus, "is_available", lambda: False):
            self.open()
        answer = self.ask("/metrics").answer()
        self.assertEqual((answer.status, answer.body), (501, f"{prometheus.MISSING}\n"))
        self.assertEqual(self.ask("/status").answer().status, 200)

    def test_page(self) -> None:
        for path in ("/", "/status.html"):
            answer = self.ask(path).answer()
            self.assertEqual((answer.status, answer.body), (200, PAGE.decode()))
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])

    def test_head(self) -> None:
        """A length, and no body."""
        for path in ("/", "/status", "/metrics"):
            head, _, body = self.ask(path, "HEAD").received.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertRegex(head, rb"\r\nContent-Length: [1-9]")
            self.assertEqual(body, b"")

    def test_nothing_else(self) -> None:
        self.assertEqual(self.ask("/elsewhere").answer().status, 404)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "DIAL"):
            answer = self.ask("/status", method).answer()
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "get, head"))

    def test_headers(self) -> None:
        """Of every answer."""
        for path in ("/", "/status", "/metrics", "/elsewhere"):
            headers = self.ask(path).answer().headers
            for name, value in (
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
                ("connection", "close"),
            ):
                self.assertEqual(headers[name], value)

    def test_later(self) -> None:
        """When the numbers are there."""
        self.look = self.look_later
        browser = self.ask("/status")
        self.assertEqual(browser.received, b"")
        self.looks[0].callback(SAMPLE)
        self.clock.advance(0)
        self.assertEqual(browser.answer().status, 200)

    def test_client_leaves(self) -> None:
        """Nobody waits for the numbers any longer."""
        self.look = self.look_later
        browser = self.ask("/status")
        present(browser.transport).loseConnection()
        self.clock.advance(0)
        self.assertTrue(self.looks[0].called)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_failure(self) -> None:
        self.look = lambda: fail(ZeroDivisionError("secret"))
        answer = self.ask("/status").answer()
        self.assertEqual((answer.status, answer.body), (500, "internal error\n"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nothing_is_logged(self) -> None:
        with capturedLogs() as said:
            self.ask("/status")
        self.assertEqual(said, [])


class BoundsTests(AdminTestCase):
    """No client can make it a burden."""

    def test_connections(self) -> None:
        """Those beyond some dozens are closed, until others have gone."""
        browsers = [self.come() for _ in range(64)]
        self.assertIsNone(self.site.buildProtocol(None))  # type: ignore[arg-type]
        present(browsers[0].transport).loseConnection()
        self.clock.advance(0)
        self.assertIsNotNone(self.site.buildProtocol(None))  # type: ignore[arg-type]

    def test_silent(self) -> None:
        """Who does not ask is cut."""
        self.come()
        self.clock.advance(61)
        self.clock.advance(61)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_reader(self) -> None:
        """So is who does not read what was asked for."""
        reader = self.come()
        transport: Any = reader.transport
        transport.pauseProducing()
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        transport.write(head)
        self.clock.advance(0)
        self.assertTrue(self.at_server.connected)
        for _ in range(6):
            self.clock.advance(1)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HostTests(AdminTestCase):
    """A page elsewhere whose own host name resolves to this port."""

    def test_names(self) -> None:
        for own in (
            "127.0.0.1",
            "127.0.0.1:9180",
            "[::1]:9180",
            "[2001:db8::7]",
            "192.0.2.1:80",
            "localhost:9180",
            "LOCALHOST",
            "rdv:9180",
            "monitor.internal",
            "rdv.local.:9180",
            "",
        ):
            self.assertTrue(is_own(own), own)
        for foreign in (
            "example.com",
            "example.com:9180",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "internal.example.com.",
            "local.com",
            "[::1].example.com",
            "127.0.0.1 example.com",
        ):
            self.assertFalse(is_own(foreign), foreign)

    def test_refused(self) -> None:
        """Whatever it asks for."""
        for path in ("/", "/status", "/metrics", "/elsewhere"):
            answer = self.ask(path, host="example.com:9180").answer()
            self.assertEqual(answer.status, 403)
            self.assertNotIn("requests", answer.body)
