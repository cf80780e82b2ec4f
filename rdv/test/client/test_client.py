"""
``Client``: what it refuses before any I/O, and how it returns after a 408.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.errors import BadToken, BadURL, ServerRefused
from rdv.test.client.doubles import (
    CONFIRM,
    TOKEN,
    URL,
    AttemptTestCase,
    ByteTransport,
    ClientReactor,
    answer,
)

NOBODY = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 23\r\n\r\nno matching peer found\n"
)


class BeforeAnythingTests(SynchronousTestCase):
    """Mistakes that are noticed without a server."""

    def setUp(self) -> None:
        self.reactor = ClientReactor(
            {"example.example": ["198.51.100.1"], "xn--bcher-kva.example": ["198.51.100.2"]}
        )
        self.client = Client(self.reactor)

    def test_repr(self) -> None:
        client = Client(self.reactor, spaces=AddressSpace.NONE)
        self.assertEqual(repr(client), "<Client spaces=NONE>")

    def assert_refused(self, kind: type[Exception], url: str, token: Any) -> None:
        """Neither role does anything."""
        for connect in (self.client.dial, self.client.accept):
            failure = self.failureResultOf(connect(url, token), kind)
            self.assertNotIn("\n", str(failure.value))
            self.assertEqual(self.reactor.tcpClients, [])
            self.assertEqual(self.reactor.ports, [])
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.assertEqual(self.reactor.resolver.asked, [])

    def test_bad_urls(self) -> None:
        """None at all, another scheme, no host, unreadable, or a port that does not exist."""
        for url in (
            *("", "example.com", "example.com:80", "/rdv", "//example.com/rdv"),
            *("ftp://example.com/", "ws://example.com/", "file:///etc/passwd", "rdv:x"),
            *("http://", "http:///rdv", "https://:80/", "http:example.com"),
            *("http://[::1", "http://ex ample/", "http://h:port/", "http://a..b/"),
            *("http://192.0.2.1:65536/", "http://192.0.2.1:-1/", "http://192.0.2.1:0/"),
        ):
            self.assert_refused(BadURL, url, TOKEN)

    def test_user_in_the_url(self) -> None:
        """What would be ignored, or taken for a part of the name, is refused."""
        url = "http://user:secret@192.0.2.1/"
        self.assert_refused(BadURL, url, TOKEN)
        error = self.failureResultOf(self.client.dial(url, TOKEN)).value
        self.assertIn("--header", str(error))
        self.assertNotIn("secret", str(error))

    def test_bad_tokens(self) -> None:
        for token in ("", " a", "a ", "a\r\nb", "a\x00", "\x7f", "x" * 8193, b"\xff", "\ud800"):
            self.assert_refused(BadToken, URL, token)

    def test_good_urls(self) -> None:
        """With the longest token."""
        for url, host in (
            ("HTTP://192.0.2.1/", "192.0.2.1"),
            ("http://192.0.2.1", "192.0.2.1"),
            ("http://[2001:db8::80]:8080/rdv", "2001:db8::80"),
            ("http://[::ffff:192.0.2.1]/", "192.0.2.1"),
            ("https://192.0.2.1:8443/a/b?c=d", "192.0.2.1"),
            ("http://EXAMPLE.example/", "198.51.100.1"),
            ("http://b\xfccher.example/", "198.51.100.2"),
        ):
            dialling = self.client.dial(url, "x" * 8192)
            self.assertNoResult(dialling)
            self.assertEqual(self.reactor.tcpClients.pop()[0], host)
            dialling.addErrback(lambda _: None)
            dialling.cancel()


class AgainTests(AttemptTestCase):
    """A 408 while there is time."""

    def refuse(self, server: ByteTransport, response: bytes = NOBODY) -> None:
        """The server refuses; the connection ends."""
        server.deliver(response)
        self.assertNotEqual(server.closing, "")
        server.lose()

    def requests(self) -> int:
        """How many connections to the server were tried."""
        return len(self.reactor.tcpClients)

    def test_asks_again_after_a_pause(self) -> None:
        """From a new port, as often as it takes."""
        self.accept()
        for number in range(1, 6):
            self.refuse(self.reactor.transports[-1])
            self.assertEqual([port.open for port in self.reactor.ports], [False] * number)
            self.reactor.advance(0.9)
            self.assertEqual(self.requests(), number)
            self.assertNoResult(self.attempt)
            self.reactor.advance(0.1)
            self.assertEqual(self.requests(), number + 1)
            self.assertTrue(self.reactor.ports[-1].open)
            self.assertEqual(self.reactor.connected().value(), self.server.value())
        self.reactor.transports[-1].deliver(answer() + CONFIRM)
        self.successResultOf(self.attempt)

    def test_at_once_after_a_long_wait(self) -> None:
        self.accept()
        self.reactor.advance(300)
        self.refuse(self.server)
        self.assertEqual(self.requests(), 2)

    def test_nothing_else(self) -> None:
        for status in (400, 404, 409, 426, 500, 503):
            self.reactor.tcpClients.clear()
            self.accept()
            self.refuse(
                self.server, b"HTTP/1.1 %d Refused\r\nContent-Length: 3\r\n\r\nwhy" % status
            )
            error = self.failureResultOf(self.attempt, ServerRefused).value
            self.assertEqual(error.status, status)
            self.assertEqual(str(error), f"{URL} refused: {status} Refused: why")
            self.reactor.advance(1)
            self.assertEqual(self.requests(), 1)
