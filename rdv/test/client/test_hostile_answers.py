"""
Answers of a malicious server, or of something other than a rendezvous server: the harm is bounded,
and the error is one line that is safe for a terminal.
"""

from __future__ import annotations

import gzip

from rdv.errors import ProtocolError, RdvError, ServerRefused
from rdv.test.client.doubles import HELLO, TOKEN, URL, AttemptTestCase, ByteTransport, answer
from rdv.test.doubles import Wire

ESCAPES = b"\x1b]0;title\x07\x1b[2J"


class HostileTestCase(AttemptTestCase):
    """A dialer of a server whose responses the test chooses."""

    def fails(self, data: bytes, kind: type[RdvError]) -> RdvError:
        """What an attempt with this answer fails with, when its connection is closed."""
        self.setUp()
        self.dial()
        self.server.deliver(data)
        self.assertNotEqual(self.server.closing, "")
        if not self.server.gone:
            self.server.lose()
        error = self.failureResultOf(self.attempt, RdvError).value
        assert isinstance(error, RdvError)
        self.assertIs(type(error), kind, error)
        self.assertTrue(str(error).isprintable(), str(error))
        self.assert_done()
        return error


class RefusalTests(HostileTestCase):
    """Answers other than a 101."""

    def refused(self, body: bytes, *headers: bytes, status: bytes = b"404 Not Found") -> str:
        """What the refusal says."""
        length = b"Content-Length: %d" % len(body)
        head = b"\r\n".join([b"HTTP/1.1 " + status, length, *headers])
        error = self.fails(head + b"\r\n\r\n" + body, ServerRefused)
        return str(error)

    def test_reason(self) -> None:
        """The first line of the body, if that is text."""
        for body, kind, reason in (
            (b"because of this\n", b"text/plain", ": because of this"),
            (b"why", b"text/plain; charset=utf-8", ": why"),
            (b"<html><h1>Oh</h1>", b"text/html", ""),
            (b"", b"text/plain", ""),
            (b"\n no \x1b[31mred\x07 \xc3\xb6\xff\nmore\n", b"text/plain", ": no ?[31mred? ö�"),
            (b"x" * 4000, b"text/plain", ": " + "x" * 200),
        ):
            said = self.refused(body, b"Content-Type: " + kind)
            self.assertEqual(said, f"{URL} refused: 404 Not Found{reason}")

    def test_retry_after(self) -> None:
        """In seconds; nothing is made of anything else."""
        for text, seconds in (
            ("10", 10.0),
            (" 0 ", 0.0),
            ("-1", None),
            ("1.5", None),
            ("9" * 400, None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("\xff", None),
        ):
            head = f"HTTP/1.1 503 No\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n"
            error = self.fails(head.encode("latin-1"), ServerRefused)
            assert isinstance(error, ServerRefused)
            self.assertEqual(error.retry_after, seconds)

    def test_redirect(self) -> None:
        """It is told, and not followed."""
        said = self.refused(b"", b"Location: http://other.test/", status=b"302 Found")
        self.assertEqual(said, f"{URL} refused: 302 Found: moved to http://other.test/")
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_compressed(self) -> None:
        """Nobody has asked for that; the status is known all the same."""
        plain = b"Content-Type: text/plain"
        for body in (gzip.compress(b"a page that is not there"), b"no gzip at all", b""):
            for coding in (b"gzip", b"deflate", b"br", b"GZIP"):
                said = self.refused(body, plain, b"Content-Encoding: " + coding)
                self.assertEqual(said, f"{URL} refused: 404 Not Found")

    def test_compressed_bomb(self) -> None:
        bomb = gzip.compress(bytes(1 << 20))
        said = self.refused(bomb, b"Content-Type: text/plain", b"Content-Encoding: gzip")
        self.assertEqual(said, f"{URL} refused: 404 Not Found")

    def test_content_type_that_is_no_text(self) -> None:
        for kind in (b"\xff", b"text/plain; charset=\xff", b"text/html\xff"):
            said = self.refused(b"why", b"Content-Type: " + kind)
            self.assertTrue(said.startswith(f"{URL} refused: 404 Not Found"), said)

    def test_cookie_that_is_no_text(self) -> None:
        for status in (b"404 Not Found", b"200 OK", b"503 Later"):
            head = b"HTTP/1.1 %b\r\nSet-Cookie: a=\xff\r\nContent-Length: 0\r\n\r\n" % status
            said = str(self.fails(head, ProtocolError))
            self.assertTrue(said.startswith(f"the response of {URL} is not HTTP: "), said)

    def test_header_of_no_interest_that_is_no_text(self) -> None:
        said = self.refused(b"why", b"X-Other: \xff")
        self.assertEqual(said, f"{URL} refused: 404 Not Found: why")

    def test_escape_sequences_in_the_phrase(self) -> None:
        """h11 lets no control character through; whoever does, a terminal must not obey."""
        for data in (ESCAPES, b"Not \x1b[31mFound", b"\x9b2J", b"\xff\xfe", b"\xc2\x9b31m"):
            self.setUp()
            self.dial()
            self.server.deliver(b"HTTP/1.1 404 " + data + b"\r\nContent-Length: 0\r\n\r\n")
            self.server.lose()
            error = self.failureResultOf(self.attempt, ServerRefused, ProtocolError).value
            self.assertTrue(str(error).isprintable(), repr(str(error)))

    def test_escape_sequences_in_the_body(self) -> None:
        for data in (ESCAPES, b"\x9b2J", b"\xc2\x9b31m", b"\xe2\x80\xae back", b"a\rb"):
            self.refused(data, b"Content-Type: text/plain")

    def test_long_phrase(self) -> None:
        said = self.refused(b"", status=b"404 " + b"x" * 5000)
        self.assertEqual(said, f"{URL} refused: 404 {'x' * 200}")

    def test_escape_sequences_in_what_is_no_http(self) -> None:
        for data in (ESCAPES, b"HTTP/1.1 4" + ESCAPES, b"HTTP/1.1 200 OK\r\n" + ESCAPES):
            self.fails(data + b"\r\n\r\n", ProtocolError)


class SwitchTests(HostileTestCase):
    """Answers with the status 101."""

    def connected(self, *headers: str) -> ByteTransport:
        """The server's connection becomes the relay, in spite of these headers."""
        self.dial(penalty=0)
        self.answer_with("".join(f"{header}\r\n" for header in headers).encode("latin-1"))
        return self.server

    def answer_with(self, headers: bytes) -> None:
        """A good 101, but for ``headers``."""
        self.server.clear()
        self.server.deliver(answer()[:-2] + headers + b"\r\n" + HELLO + b"\x00\xff raw")

    def test_malformed(self) -> None:
        upgrade = b"Connection: Upgrade\r\nUpgrade: rdv/1\r\n"
        for headers in (
            b"",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            upgrade + b"Rdv-Peer-Addrs: 127.0.0.1:2000, localhost:2000\r\n",
            upgrade + b"Rdv-Observed-Addr: somewhere\r\n",
            upgrade + b": no name\r\n",
        ):
            head = b"HTTP/1.1 101 Switching Protocols\r\n" + headers + b"\r\n"
            self.fails(head, ProtocolError)
        self.fails(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, ProtocolError)

    def test_content_coding(self) -> None:
        """What follows is the peer's, and not for us to decode."""
        for coding in ("gzip", "deflate", "br", "identity"):
            self.setUp()
            self.connected(f"Content-Encoding: {coding}")
            connection = self.successResultOf(self.attempt)
            wire = Wire()
            connection.attach(wire)
            self.server.deliver(gzip.compress(b"the peer's own"))
            self.assertEqual(wire.data, b"\x00\xff raw" + gzip.compress(b"the peer's own"))

    def test_content_length(self) -> None:
        """Has no meaning there, and must not cut the stream."""
        self.connected("Content-Length: 3")
        wire = Wire()
        self.successResultOf(self.attempt).attach(wire)
        self.assertEqual(wire.data, b"\x00\xff raw")

    def test_header_of_no_interest_that_is_no_text(self) -> None:
        self.connected("X-Other: \xff", "Content-Type: \xff")
        self.assertTrue(self.successResultOf(self.attempt).is_relay)

    def test_cookie_that_is_no_text(self) -> None:
        self.fails(answer()[:-2] + b"Set-Cookie: a=\xff\r\n\r\n" + HELLO, ProtocolError)


class OwnHeaderTests(AttemptTestCase):
    """Headers of our own request that HTTP does not allow."""

    def test_text_is_not_shown(self) -> None:
        for value in ("secret\x00value", "\x00secret", "secret\x0bvalue"):
            self.setUp()
            self.attempt = self.client().dial(
                URL, TOKEN, timeout=None, headers={"Authorization": value}
            )
            self.assertEqual(self.reactor.tcpClients, [])
            error = self.failureResultOf(self.attempt, ProtocolError).value
            self.assertNotIn("secret", str(error))
            self.assertIn("header of the request", str(error))
            self.assertFalse(any(port.open for port in self.reactor.ports))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_line_break(self) -> None:
        """Twisted makes blanks of it: there is no second header."""
        for value in ("a\r\nX-Header: y", "a\nX-Header: y"):
            self.setUp()
            self.attempt = self.client().dial(URL, TOKEN, timeout=None, headers={"X-One": value})
            lines = self.reactor.connected().value().split(b"\r\n")
            self.assertFalse([line for line in lines if line.startswith(b"X-Header")])
            self._end(self.reactor)
