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
from rdv.test.client.http.doubles import SWITCH, UPGRADE, UpgradeTestCase

REFUSAL = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwhy\n"


class RefusalTests(UpgradeTestCase):
    """A final response."""

    def body(self, response: IResponse) -> bytes:
        """Its body."""
        return self.successResultOf(treq.content(response))

    def test_code_headers_and_body(self) -> None:
        response = self.answered(REFUSAL)
        self.assertEqual((response.code, response.phrase), (409, b"Conflict"))
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["text/plain"])
        self.assertEqual(self.body(response), b"why\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNotEqual(self.transport.closing, "")

    def test_in_pieces_of_one_byte(self) -> None:
        response = self.answered(*(REFUSAL[at : at + 1] for at in range(len(REFUSAL))))
        self.assertEqual((response.code, self.body(response)), (409, b"why\n"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_body(self) -> None:
        response = self.answered(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.body(response), b"")

    def test_chunked(self) -> None:
        head = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n"
        response = self.answered(head, b"3\r\nwhy\r\n", b"0\r\n\r\n")
        self.assertEqual(self.body(response), b"why")

    def test_body_until_the_end(self) -> None:
        pending = self.request()
        self.transport.deliver(b"HTTP/1.0 500 Oops\r\n\r\nwh", b"y")
        self.assertNoResult(pending)
        self.transport.lose()
        response = self.successResultOf(pending)
        self.assertEqual((response.code, self.body(response)), (500, b"why"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_body_is_cut(self) -> None:
        pending = self.request()
        self.transport.deliver(b"HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nwhy")
        self.transport.lose(ConnectionLost())
        response = self.successResultOf(pending)
        self.assertEqual((response.code, self.body(response)), (500, b"why"))

    def test_body_without_end(self) -> None:
        pending = self.request()
        self.transport.deliver(b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 4000)
        self.assertNoResult(pending)
        self.transport.deliver(b"x" * 1000)
        response = self.successResultOf(pending)
        self.assertEqual((response.code, self.body(response)), (500, b"x" * 4096))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNotEqual(self.transport.closing, "")

    def test_what_follows_is_not_kept(self) -> None:
        """Twisted's TLS reads on until the server closes as well, and it need not."""
        self.answered(b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 4096)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(64):
            self.transport.deliver(bytes(1 << 14))
        self.assertLess(tracemalloc.get_traced_memory()[0], 1 << 16)

    def test_body_stalls(self) -> None:
        pending = self.request()
        self.transport.deliver(b"HTTP/1.1 503 Later\r\nContent-Length: 10\r\n\r\nwhy")
        self.clock.advance(9)
        self.assertNoResult(pending)
        self.clock.advance(1)
        response = self.successResultOf(pending)
        self.assertEqual((response.code, self.body(response)), (503, b"why"))
        self.assertNotEqual(self.transport.closing, "")

    def test_body_drips(self) -> None:
        pending = self.request()
        self.transport.deliver(b"HTTP/1.1 503 Later\r\nContent-Length: 99\r\n\r\n")
        for _ in range(10):
            self.assertNoResult(pending)
            self.transport.deliver(b"x")
            self.clock.advance(1)
        self.assertEqual(self.body(self.successResultOf(pending)), b"x" * 10)

    def test_upgrade_header_does_not_make_a_switch(self) -> None:
        for status in (b"409 Conflict", b"400 Bad Request", b"200 OK"):
            self.setUp()
            response = self.answered(
                b"HTTP/1.1 %b\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
                b"Content-Length: 4\r\n\r\nwhy\n" % status
            )
            self.assertEqual(response.code, int(status[:3]))
            self.assertEqual(self.body(response), b"why\n")

    def test_close_afterwards_leaves_nothing(self) -> None:
        self.answered(REFUSAL)
        self.agent.close()
        self.assertEqual(self.transport.closing, "abort")
        self.transport.lose()


class NonsenseTests(UpgradeTestCase):
    """What is no HTTP."""

    def test_garbage(self) -> None:
        for data in (
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"HTTP/1.1 abc Oops\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nbad name: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"rdv/1 HELLO token\r\n\r\n",
        ):
            self.setUp()
            response = self.request()
            self.transport.deliver(data)
            self.assert_refused(response, ProtocolError, "not HTTP")

    def test_garbage_in_a_body(self) -> None:
        response = self.request()
        self.transport.deliver(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n")
        self.failureResultOf(response, ProtocolError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

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

    def test_what_comes_after_the_failure_does_not_matter(self) -> None:
        response = self.request()
        self.transport.deliver(b"?\r\n\r\n", SWITCH)
        self.assert_refused(response, ProtocolError)
        self.transport.lose()


class EndTests(UpgradeTestCase):
    """The connection ends, or nothing comes."""

    def test_closed_before_the_head(self) -> None:
        response = self.request()
        self.transport.lose()
        self.failureResultOf(response, ServerUnreachable)

    def test_lost_before_the_head(self) -> None:
        response = self.request()
        self.transport.lose(ConnectionLost("the network went away"))
        failure = self.failureResultOf(response, ServerUnreachable)
        self.assertIn("the network went away", str(failure.value))

    def test_closed_in_the_middle_of_the_head(self) -> None:
        response = self.request()
        self.transport.deliver(SWITCH[:30])
        self.transport.lose()
        failure = self.failureResultOf(response, ServerUnreachable)
        self.assertIn("ended without an answer", str(failure.value))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_behind_an_interim_response(self) -> None:
        response = self.request()
        self.transport.deliver(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.transport.lose()
        self.failureResultOf(response, ServerUnreachable)

    def test_server_may_take_its_time_to_begin(self) -> None:
        response = self.request()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(response)

    def test_head_stalls(self) -> None:
        response = self.request()
        self.transport.deliver(SWITCH[:30])
        self.clock.advance(9)
        self.assertNoResult(response)
        self.clock.advance(1)
        self.assert_refused(response, ServerUnreachable, "did not come within 10 s")

    def test_head_drips(self) -> None:
        response = self.request()
        for at in range(10):
            self.assertNoResult(response)
            self.transport.deliver(SWITCH[at : at + 1])
            self.clock.advance(1)
        self.assert_refused(response, ServerUnreachable)

    def test_head_in_time(self) -> None:
        response = self.request()
        self.transport.deliver(SWITCH[:30])
        self.clock.advance(9)
        self.transport.deliver(SWITCH[30:])
        self.assertEqual(self.successResultOf(response).code, 101)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CancelTests(UpgradeTestCase):
    """Cancelling, wherever it is."""

    def cancel_after(self, *chunks: bytes) -> None:
        """Cancel when ``chunks`` have come."""
        response = self.request()
        self.transport.deliver(*chunks)
        response.cancel()
        self.assert_refused(response, CancelledError)
        self.transport.lose(ConnectionLost())

    def test_connecting(self) -> None:
        response = self.agent.request(b"DIAL", b"http://example.com/", Headers(UPGRADE))
        response.cancel()
        self.failureResultOf(response, CancelledError)
        self.assertTrue(self.endpoints.cancelled)

    def test_waiting(self) -> None:
        self.cancel_after()

    def test_in_the_head(self) -> None:
        self.cancel_after(SWITCH[:30])

    def test_between_interim_responses(self) -> None:
        self.cancel_after(b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_in_the_body(self) -> None:
        self.cancel_after(REFUSAL[:-2])
