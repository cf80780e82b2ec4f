"""
The agent over TLS, without a network.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from rdv._transport.handover import one_protocol
from rdv.client.http.policy import tls_policy
from rdv.client.http.request import UpgradeAgent
from rdv.errors import ServerUnreachable
from rdv.test.certificates import Authority
from rdv.test.client.doubles import ByteTransport, context
from rdv.test.client.http.doubles import SWITCH, UPGRADE, Endpoints, UpgradeTestCase
from rdv.test.doubles import HalfWire, Wire


@implementer(IAgentEndpointFactory)
class TLSEndpoints:
    """TLS over other endpoints."""

    def __init__(self, authority: Authority, clock: Any, below: Endpoints) -> None:
        self._policy = tls_policy(ca=authority.pem)
        self._clock = clock
        self._below = below

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        options = self._policy.creatorForNetloc(uri.host, uri.port)
        return wrapClientTLS(options, self._below.endpointForURI(uri), clock=self._clock)


class TLSTestCase(UpgradeTestCase):
    """A client and a server with TLS; :meth:`shuttle` moves the data between them."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        endpoints = TLSEndpoints(self.authority, self.clock, self.endpoints)
        self.agent = UpgradeAgent(context(self.clock), endpoints)

    def start(self) -> Deferred[IResponse]:
        """A request whose handshake has begun."""
        response = self.agent.request(b"DIAL", b"https://example.com/", Headers(UPGRADE))
        self.transport = self.endpoints.accept()
        self.clock.advance(0)
        return response

    def serve(self, name: str, wire: Wire) -> None:
        """A server with a certificate for ``name``; ``wire`` is its application."""
        factory: Factory[Any] = TLSMemoryBIOFactory(
            self.authority.server_context(name), False, one_protocol(wire), clock=self.clock
        )
        self.server = ByteTransport()
        self.server.protocol = factory.buildProtocol(self.server.getPeer())
        self.server.connect()

    def shuttle(self) -> None:
        """Carry bytes to and fro until there are none."""
        self.clock.advance(0)
        while self.transport.value() or self.server.value():
            to_server, to_client = self.transport.value(), self.server.value()
            self.transport.clear()
            self.server.clear()
            if to_server:
                self.server.deliver(to_server)
            if to_client:
                self.transport.deliver(to_client)
            self.clock.advance(0)


class StallTests(TLSTestCase):
    """A server that does not complete the TLS handshake."""

    def test_says_nothing(self) -> None:
        """What was spent before the connection stood is not there any more."""
        for spent in (0, 7):
            self.setUp()
            response = self.agent.request(b"DIAL", b"https://example.com/", Headers(UPGRADE))
            self.clock.advance(spent)
            self.transport = self.endpoints.accept()
            self.clock.advance(9.5 - spent)
            self.assertNoResult(response)
            self.clock.advance(0.5)
            text = "TLS handshake did not complete within 10 s"
            self.assert_refused(response, ServerUnreachable, text)
            self.transport.lose()

    def test_ends(self) -> None:
        """It is cancelled, or the server closes, or speaks no TLS."""
        for said, kind, text in (
            (None, CancelledError, ""),
            (b"", ServerUnreachable, ""),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ServerUnreachable, "TLS: "),
        ):
            self.setUp()
            response = self.start()
            if said is None:
                response.cancel()
            elif said:
                self.transport.deliver(said)
            self.transport.lose()
            self.assertIn(text, str(self.failureResultOf(response, kind).value))
            self.assertEqual(self.clock.getDelayedCalls(), [])


class ShakenTests(TLSTestCase):
    """A server that completes the TLS handshake."""

    def test_time_is_over_with_the_handshake(self) -> None:
        response = self.start()
        self.serve("example.com", wire := Wire())
        self.shuttle()
        self.assertTrue(wire.data.startswith(b"DIAL / HTTP/1.1\r\n"))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertNoResult(response)

    def test_another_name(self) -> None:
        response = self.start()
        self.serve("example.org", Wire())
        self.shuttle()
        self.transport.lose()
        failure = self.failureResultOf(response, ServerUnreachable)
        text = str(failure.value)
        self.assertTrue(text.startswith("TLS: "), text)
        self.assertNotIn("(", text)  # for a person, not the repr of an exception

    def hand_over(self, response: Deferred[IResponse], to: HalfWire) -> None:
        """The connection, as soon as there is an answer."""
        response.addCallback(lambda it: it.deliverBody(to))

    def test_handed_over_with_what_was_behind(self) -> None:
        """In one record, in two of one segment, and when it is handed over later."""
        for records, late in (
            ([SWITCH + b"behind"], False),
            ([SWITCH, b"behind"], False),
            ([SWITCH, b"behind"], True),
        ):
            self.setUp()
            response = self.start()
            ours = HalfWire()
            if not late:
                self.hand_over(response, ours)
            self.serve("example.com", theirs := Wire())
            self.shuttle()
            for record in records:
                theirs.write(record)
                self.clock.advance(0)
            self.shuttle()
            if late:
                self.hand_over(response, ours)
            self.assertEqual(ours.data, b"behind")
            theirs.write(b" and after")
            ours.write(b"an answer")
            self.shuttle()
            self.assertEqual(ours.data, b"behind and after")
            self.assertTrue(theirs.data.endswith(b"\r\n\r\nan answer"))
