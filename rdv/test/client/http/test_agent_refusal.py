"""
Answers other than a 101: refusals, nonsense, silence, and the end of the connection.
"""

from __future__ import annotations

import tracemalloc

import treq
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from rdv.errors import ProtocolError, ServerUnreachable
from rdv.test.client.doubles import pieces
from rdv.test.client.http.doubles import SWITCH, UPGRADE, UpgradeTestCase

REFUSAL = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwhy\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RefusalTests(UpgradeTestCase):
    """A final response."""

    def assert_response(self, response: IResponse, code: int, body: bytes) -> None:
        """It is that, the connection is being closed, and nobody waits."""
        self.assertEqual(response.code, code)
        self.assertEqual(self.successResultOf(treq.content(response)), body)
        self.assertNotEqual(self.transport.closing, "")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_complete(self) -> None:
        """In one piece or many; an upgrade header does not make it a switch."""
        upgrade = b"Connection: Upgrade\r\nUpgrade: rdv/1\r\nContent-Length: 4\r\n\r\nwhy\n"
        chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\n\r\n"
        for code, answer, body in (
            (409, REFUSAL, b"why\n"),
            (404, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""),
            (401, b"HTTP/1.1 401 Unauthorized\r\n" + chunked, b"why"),
            (409, b"HTTP/1.1 409 Conflict\r\n" + upgrade, b"why\n"),
            (200, b"HTTP/1.1 200 OK\r\n" + upgrade, b"why\n"),
        ):
            for cuts in ((), range(len(answer))):
                self.setUp()
                response = self.answered(*pieces(answer, cuts))
                self.assert_response(response, code, body)
                phrase = answer.partition(b"\r\n")[0].split(b" ", 2)[2]
                self.assertEqual(response.phrase, phrase)
        self.setUp()
        response = self.answered(REFUSAL)
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["text/plain"])
        self.agent.close()
        self.assertEqual(self.transport.closing, "abort")
        self.transport.lose()

    def test_body_ends_with_the_connection(self) -> None:
        """As it should, or too early."""
        for head, error in (
            (b"HTTP/1.0 500 Oops\r\n\r\n", None),
            (b"HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\n", ConnectionLost()),
        ):
            self.setUp()
            pending = self.request()
            self.transport.deliver(head + b"wh", b"y")
            self.assertNoResult(pending)
            self.transport.lose(error)
            self.assert_response(self.successResultOf(pending), 500, b"why")

    def test_body_without_end(self) -> None:
        pending = self.request()
        self.transport.deliver(b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 4095)
        self.assertNoResult(pending)
        self.transport.deliver(b"x" * 1000)
        self.assert_response(self.successResultOf(pending), 500, b"x" * 4096)

    def test_what_follows_is_not_kept(self) -> None:
        """Twisted's TLS reads on until the server closes as well, and it need not."""
        self.answered(b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 4096)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(64):
            self.transport.deliver(bytes(1 << 14))
        self.assertLess(tracemalloc.get_traced_memory()[0], 1 << 16)

    def test_body_stalls(self) -> None:
        """Or drips: the status is known all the same."""
        for drips in (False, True):
            self.setUp()
            pending = self.request()
            self.transport.deliver(b"HTTP/1.1 503 Later\r\nContent-Length: 99\r\n\r\n")
            for _ in range(10):
                self.assertNoResult(pending)
                if drips:
                    self.transport.deliver(b"x")
                self.clock.advance(1)
            self.assert_response(self.successResultOf(pending), 503, b"x" * 10 * drips)


class NonsenseTests(UpgradeTestCase):
    """Responses that are not HTTP."""

    def test_garbage(self) -> None:
        """Whatever comes behind it."""
        for data in (
            b"?\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"HTTP/1.1 abc Oops\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nbad name: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
            b"rdv/1 HELLO token\r\n\r\n",
        ):
            self.setUp()
            response = self.request()
            self.transport.deliver(data, SWITCH)
            self.assert_refused(response, ProtocolError, "not HTTP")
            self.transport.lose()

    def test_header_without_end(self) -> None:
        """It is refused before it has cost more than some KiB."""
        for endless in (b"X-Header: y\r\n" * 80, b"x" * 1000):
            self.setUp()
            response = self.request()
            self.transport.deliver(b"HTTP/1.1 101 Switching Protocols\r\nX: ")
            fed = 0
            while not response.called and fed < 1 << 20:
                self.transport.deliver(endless)
                fed += len(endless)
            self.assertLess(fed, 1 << 16)
            self.assert_refused(response, ProtocolError, "not HTTP")


class EndTests(UpgradeTestCase):
    """The connection ends, or nothing arrives."""

    def test_closed(self) -> None:
        for chunks in ((), (SWITCH[:30],), (CONTINUE,)):
            for error, text in (
                (None, "ended without an answer"),
                (ConnectionLost("the network went away"), "the network went away"),
            ):
                self.setUp()
                response = self.request()
                self.transport.deliver(*chunks)
                self.transport.lose(error)
                failure = self.failureResultOf(response, ServerUnreachable)
                self.assertIn(text, str(failure.value))
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_server_may_take_its_time_to_begin(self) -> None:
        response = self.request()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(response)

    def test_head_stalls(self) -> None:
        """Or drips, or comes in time after all."""
        for chunks in ([SWITCH[:30]], pieces(SWITCH[:10], range(10))):
            self.setUp()
            response = self.request()
            for chunk in chunks:
                self.transport.deliver(chunk)
                self.clock.advance(9 / len(chunks))
            self.assertNoResult(response)
            self.clock.advance(1)
            self.assert_refused(response, ServerUnreachable, "did not complete within 10 s")
        self.setUp()
        response = self.request()
        self.transport.deliver(SWITCH[:30])
        self.clock.advance(9)
        self.transport.deliver(SWITCH[30:])
        self.assertEqual(self.successResultOf(response).code, 101)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CancelTests(UpgradeTestCase):
    """Cancelling at any stage."""

    def test_connecting(self) -> None:
        response = self.agent.request(b"DIAL", b"http://example.com/", Headers(UPGRADE))
        response.cancel()
        self.failureResultOf(response, CancelledError)
        self.assertTrue(self.endpoints.cancelled)

    def test_connected(self) -> None:
        for chunks in ((), (SWITCH[:30],), (CONTINUE,), (REFUSAL[:-2],)):
            self.setUp()
            response = self.request()
            self.transport.deliver(*chunks)
            response.cancel()
            self.assert_refused(response, CancelledError)
            self.transport.lose(ConnectionLost())
