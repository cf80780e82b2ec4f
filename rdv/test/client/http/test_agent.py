"""
The agent that can upgrade: its request, the 101, and handing over the connection.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from rdv.errors import ProtocolError, ServerUnreachable
from rdv.test.client.doubles import pieces
from rdv.test.client.http.doubles import SWITCH, UPGRADE, UpgradeTestCase
from rdv.test.doubles import HalfWire, Wire

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


class RequestTests(UpgradeTestCase):
    """What is sent; tests of attempts show the same under treq."""

    def test_interfaces(self) -> None:
        verifyObject(IAgent, self.agent)
        verifyObject(IResponse, self.answered(SWITCH))

    def test_bytes(self) -> None:
        self.request(b"http://example.com:8080/rdv?x=1", UPGRADE)
        self.assertEqual(
            self.transport.value(),
            b"DIAL /rdv?x=1 HTTP/1.1\r\nHost: example.com:8080\r\nConnection: upgrade\r\n"
            b"Upgrade: rdv/1\r\nRdv-Token: token\r\n\r\n",
        )

    def test_host(self) -> None:
        for uri, host in {
            b"http://example.com": b"example.com",
            b"http://example.com/": b"example.com",
            b"https://example.com/": b"example.com",
            b"https://example.com:80/": b"example.com:80",
            b"http://[2001:db8::7]:8080/": b"[2001:db8::7]:8080",
            b"http://[::1]/": b"[::1]",
        }.items():
            self.setUp()
            self.request(uri, {})
            self.assertEqual(self.transport.value(), b"DIAL / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)

    def test_headers_of_the_caller(self) -> None:
        self.request(b"http://192.0.2.1/", {"Host": ["example.com"], "X-Twice": ["1", "2"]})
        head, *lines = self.transport.value().split(b"\r\n")
        self.assertEqual(head, b"DIAL / HTTP/1.1")
        self.assertEqual(lines, [b"Host: example.com", b"X-Twice: 1", b"X-Twice: 2", b"", b""])

    def test_endpoint(self) -> None:
        """It is asked for the URI, and may fail."""
        response = self.agent.request(b"DIAL", b"https://example.com:8443/", Headers(UPGRADE))
        (uri,) = self.endpoints.uris
        self.assertEqual((uri.scheme, uri.host, uri.port), (b"https", b"example.com", 8443))
        self.endpoints.connecting.errback(ConnectError())
        self.failureResultOf(response, ConnectError)


class SwitchTests(UpgradeTestCase):
    """A 101, and what follows."""

    def delivered(self, *chunks: bytes) -> bytes:
        """What of ``chunks`` a protocol gets that is connected at once."""
        wire = Wire()
        self.request().addCallback(lambda response: response.deliverBody(wire))
        self.transport.deliver(*chunks)
        return wire.data

    def test_head(self) -> None:
        response = self.answered(SWITCH)
        self.assertEqual((response.code, response.phrase), (101, b"Switching Protocols"))
        get = response.headers.getRawHeaders
        self.assertEqual(get("Rdv-Observed-Addr"), ["192.0.2.1:5"])
        self.assertEqual(get("x-twice"), ["1", "2"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(st.binary(max_size=50), st.lists(st.integers(0, 300), max_size=200))
    def test_split_anyhow(self, behind: bytes, cuts: list[int]) -> None:
        for places in (cuts, range(300)):
            self.setUp()
            self.assertEqual(self.delivered(*pieces(SWITCH + behind, places)), behind)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_handed_over(self) -> None:
        """Nothing is read until then, but what is above TLS may bring more."""
        response = self.answered(SWITCH + b"some ")
        self.assertEqual(self.transport.producerState, "paused")
        self.transport.deliver(b"decrypted ", b"bytes")
        wire = HalfWire()
        response.deliverBody(wire)
        self.assertEqual(self.transport.producerState, "producing")
        self.assertIs(wire.transport, self.transport)
        self.agent.close()
        self.assertEqual(self.transport.closing, "")
        self.transport.deliver(b", data")
        self.transport.end()
        reason = self.transport.lose()
        self.assertEqual((wire.data, wire.read_ended), (b"some decrypted bytes, data", 1))
        self.assertIs(wire.reason, reason)

    def test_lost_before_it_is_handed_over(self) -> None:
        response = self.answered(SWITCH + b"last words")
        reason = self.transport.lose(ConnectionLost())
        wire = Wire()
        response.deliverBody(wire)
        self.assertEqual(wire.data, b"last words")
        self.assertIs(wire.reason, reason)

    def test_close_before_handing_over(self) -> None:
        self.answered(SWITCH)
        self.agent.close()
        self.assertEqual(self.transport.closing, "abort")

    def test_nobody_asked_for_it(self) -> None:
        response = self.request(headers={})
        self.transport.deliver(SWITCH)
        self.assert_refused(response, ProtocolError, "not HTTP")


class InterimTests(UpgradeTestCase):
    """Other 1xx responses."""

    def test_skipped(self) -> None:
        """As many as are allowed, in one piece or several, and however long it takes."""
        refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        for final, code in ((SWITCH, 101), (refusal, 404)):
            for interim in ([CONTINUE], [HINTS + CONTINUE], [HINTS] * 16, [CONTINUE, HINTS]):
                self.setUp()
                response = self.request()
                self.transport.deliver(*interim)
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.assertNoResult(response)
                self.transport.deliver(final)
                self.assertEqual(self.successResultOf(response).code, code)
                self.setUp()
                self.assertEqual(self.answered(b"".join(interim) + final).code, code)

    def test_without_end(self) -> None:
        response = self.request()
        self.transport.deliver(*[HINTS] * 17)
        self.assert_refused(response, ProtocolError, "endless")

    def test_stalls_in_the_middle(self) -> None:
        response = self.request()
        self.transport.deliver(CONTINUE + HINTS[:20])
        self.clock.advance(10)
        self.assert_refused(response, ServerUnreachable, "did not complete within 10 s")
