"""
The agent that can upgrade: its request, the 101, and handing over the connection.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, cast

import treq
from hypothesis import given
from hypothesis import strategies as st
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from rdv.errors import ProtocolError, ServerUnreachable
from rdv.test.client.doubles import pieces
from rdv.test.client.http.doubles import SWITCH, UPGRADE, UpgradeTestCase
from rdv.test.doubles import HalfWire, Wire


class RequestTests(UpgradeTestCase):
    """What is sent."""

    def sent(self, uri: bytes, headers: dict[str, list[str]]) -> bytes:
        """The bytes of a request."""
        self.request(uri, headers)
        sent: bytes = self.transport.value()
        return sent

    def test_interfaces(self) -> None:
        verifyObject(IAgent, self.agent)
        verifyObject(IResponse, self.answered(SWITCH))

    def test_bytes(self) -> None:
        self.assertEqual(
            self.sent(b"http://example.com:8080/rdv?x=1", UPGRADE),
            b"DIAL /rdv?x=1 HTTP/1.1\r\nHost: example.com:8080\r\nConnection: upgrade\r\n"
            b"Upgrade: rdv/1\r\nRdv-Token: token\r\n\r\n",
        )

    def test_no_path(self) -> None:
        self.assertIn(b"DIAL / HTTP/1.1\r\n", self.sent(b"http://example.com", UPGRADE))

    def test_default_ports(self) -> None:
        for scheme in (b"http", b"https"):
            self.setUp()
            self.assertIn(b"\r\nHost: example.com\r\n", self.sent(scheme + b"://example.com/", {}))

    def test_port_of_another_scheme(self) -> None:
        sent = self.sent(b"https://example.com:80/", {})
        self.assertIn(b"\r\nHost: example.com:80\r\n", sent)

    def test_ipv6_host(self) -> None:
        sent = self.sent(b"http://[2001:db8::7]:8080/", {})
        self.assertIn(b"\r\nHost: [2001:db8::7]:8080\r\n", sent)

    def test_ipv6_host_and_default_port(self) -> None:
        self.assertIn(b"\r\nHost: [::1]\r\n", self.sent(b"http://[::1]/", {}))

    def test_host_of_the_caller(self) -> None:
        sent = self.sent(b"http://192.0.2.1/", {"Host": ["example.com"]})
        self.assertEqual(sent, b"DIAL / HTTP/1.1\r\nHost: example.com\r\n\r\n")

    def test_header_with_two_values(self) -> None:
        sent = self.sent(b"http://example.com/", {"X-Twice": ["1", "2"]})
        self.assertIn(b"X-Twice: 1\r\nX-Twice: 2\r\n", sent)

    def test_endpoint_is_asked_for_the_uri(self) -> None:
        self.request(b"https://example.com:8443/rdv")
        (uri,) = self.endpoints.uris
        self.assertEqual((uri.scheme, uri.host, uri.port), (b"https", b"example.com", 8443))

    def test_endpoint_fails(self) -> None:
        response = self.agent.request(b"DIAL", b"http://example.com/", Headers(UPGRADE))
        self.endpoints.connecting.errback(ConnectError())
        self.failureResultOf(response, ConnectError)


class TreqTests(UpgradeTestCase):
    """Under treq's client."""

    def treq(self, **options: Any) -> Deferred[Any]:
        """A request through treq."""
        response = HTTPClient(self.agent).request(
            "DIAL",
            "http://example.com/",
            unbuffered=True,
            reactor=cast(Any, self.clock),
            **options,
        )
        self.transport = self.endpoints.accept()
        return response

    def assert_sent(self, line: bytes) -> None:
        """This line was in the request."""
        self.assertIn(line, self.transport.value().split(b"\r\n"))

    def test_headers(self) -> None:
        self.treq(headers={"Rdv-Token": "token", "X-Twice": ["1", "2"]})
        for line in (b"Rdv-Token: token", b"X-Twice: 1", b"X-Twice: 2"):
            self.assert_sent(line)

    def test_cookies(self) -> None:
        self.treq(cookies={"session": "abc"})
        self.assert_sent(b"Cookie: session=abc")

    def test_auth(self) -> None:
        self.treq(auth=("user", "secret"))
        self.assert_sent(b"Authorization: Basic " + base64.b64encode(b"user:secret"))

    def test_params(self) -> None:
        self.treq(params={"a": "b"})
        self.assert_sent(b"DIAL /?a=b HTTP/1.1")

    def test_switch(self) -> None:
        getting = self.treq(headers=UPGRADE)
        self.transport.deliver(SWITCH + b"behind")
        response = self.successResultOf(getting)
        self.assertEqual(response.code, 101)
        wire = Wire()
        response.deliverBody(wire)
        self.assertEqual(wire.data, b"behind")

    def test_refusal(self) -> None:
        getting = self.treq(headers=UPGRADE)
        self.transport.deliver(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nwhy\n")
        response = self.successResultOf(getting)
        self.assertEqual(self.successResultOf(treq.content(response)), b"why\n")


class SwitchTests(UpgradeTestCase):
    """A 101, and what follows."""

    def test_head(self) -> None:
        response = self.answered(SWITCH)
        self.assertEqual((response.code, response.phrase), (101, b"Switching Protocols"))
        get = response.headers.getRawHeaders
        self.assertEqual(get("Rdv-Observed-Addr"), ["192.0.2.1:5"])
        self.assertEqual(get("x-twice"), ["1", "2"])

    @given(st.binary(max_size=50), st.lists(st.integers(0, 300), max_size=200))
    def test_split_anyhow(self, behind: bytes, cuts: Iterable[int]) -> None:
        self.setUp()
        wire = Wire()
        response = self.request()
        response.addCallback(lambda it: it.deliverBody(wire))
        self.transport.deliver(*pieces(SWITCH + behind, cuts))
        self.assertEqual(wire.data, behind)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_pieces_of_one_byte(self) -> None:
        wire = Wire()
        response = self.request()
        response.addCallback(lambda it: it.deliverBody(wire))
        data = SWITCH + b"rdv/1 HELLO token\r\n"
        self.transport.deliver(*pieces(data, range(len(data))))
        self.assertEqual(wire.data, b"rdv/1 HELLO token\r\n")

    def test_nothing_is_read_until_it_is_handed_over(self) -> None:
        response = self.answered(SWITCH + b"some ")
        self.assertEqual(self.transport.producerState, "paused")
        self.transport.deliver(b"decrypted ", b"bytes")
        wire = Wire()
        response.deliverBody(wire)
        self.assertEqual(wire.data, b"some decrypted bytes")
        self.assertEqual(self.transport.producerState, "producing")

    def test_handed_over(self) -> None:
        response = self.answered(SWITCH)
        wire = HalfWire()
        response.deliverBody(wire)
        self.assertIs(wire.transport, self.transport)
        self.transport.deliver(b"data")
        self.transport.end()
        reason = self.transport.lose()
        self.assertEqual((wire.data, wire.read_ended), (b"data", 1))
        self.assertIs(wire.reason, reason)

    def test_lost_before_it_is_handed_over(self) -> None:
        response = self.answered(SWITCH + b"last words")
        reason = self.transport.lose(ConnectionLost())
        wire = Wire()
        response.deliverBody(wire)
        self.assertEqual(wire.data, b"last words")
        self.assertIs(wire.reason, reason)

    def test_close_after_handing_over(self) -> None:
        self.answered(SWITCH).deliverBody(Wire())
        self.agent.close()
        self.assertEqual(self.transport.closing, "")

    def test_close_before_handing_over(self) -> None:
        self.answered(SWITCH)
        self.agent.close()
        self.assertEqual(self.transport.closing, "abort")

    def test_no_time_limit_for_what_follows(self) -> None:
        self.answered(SWITCH)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_asked_for_it(self) -> None:
        response = self.request(headers={})
        self.transport.deliver(SWITCH)
        self.assert_refused(response, ProtocolError, "not HTTP")


class InterimTests(UpgradeTestCase):
    """Other responses of the kind 1xx."""

    CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
    HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"

    def test_skipped_before_a_switch(self) -> None:
        response = self.request()
        self.transport.deliver(self.CONTINUE, self.HINTS)
        self.assertNoResult(response)
        self.transport.deliver(SWITCH)
        self.assertEqual(self.successResultOf(response).code, 101)

    def test_all_in_one_piece(self) -> None:
        self.assertEqual(self.answered(self.CONTINUE + self.HINTS + SWITCH).code, 101)

    def test_skipped_before_a_refusal(self) -> None:
        refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self.assertEqual(self.answered(self.HINTS + refusal).code, 404)

    def test_as_many_as_allowed(self) -> None:
        self.assertEqual(self.answered(self.HINTS * 16 + SWITCH).code, 101)

    def test_without_end(self) -> None:
        response = self.request()
        self.transport.deliver(*[self.HINTS] * 17)
        self.assert_refused(response, ProtocolError, "without end")

    def test_stop_for_a_while(self) -> None:
        response = self.request()
        self.transport.deliver(self.HINTS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(response)

    def test_stalls_in_the_middle(self) -> None:
        response = self.request()
        self.transport.deliver(self.CONTINUE + self.HINTS[:20])
        self.clock.advance(10)
        self.assert_refused(response, ServerUnreachable, "did not come within 10 s")
