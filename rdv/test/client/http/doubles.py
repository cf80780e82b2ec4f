"""
A server in memory for the agent that can upgrade.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from rdv.client.http.request import UpgradeAgent
from rdv.test.client.doubles import ByteTransport, context

UPGRADE = {"Connection": ["upgrade"], "Upgrade": ["rdv/1"], "Rdv-Token": ["token"]}
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
    b"Rdv-Observed-Addr: 192.0.2.1:5\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"
)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Endpoints:
    """
    A server in memory.

    :ivar uris: what was asked for.
    :ivar transport: the client's end, once it is accepted.
    :ivar cancelled: whether connecting was given up.
    """

    transport: ByteTransport

    def __init__(self) -> None:
        self.uris: list[URI] = []
        self.connecting: Deferred[IProtocol] = Deferred(self._cancel)
        self.cancelled = False

    def _cancel(self, connecting: object) -> None:
        self.cancelled = True

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        self.uris.append(uri)
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self._factory = protocolFactory
        return self.connecting

    def accept(self) -> ByteTransport:
        """The connection stands."""
        peer = IPv4Address("TCP", "192.0.2.80", 80)
        protocol: Any = self._factory.buildProtocol(peer)
        self.transport = ByteTransport(protocol, peer)
        self.transport.connect()
        self.connecting.callback(protocol)
        return self.transport


class UpgradeTestCase(SynchronousTestCase):
    """A request on an agent, up to its answer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoints = Endpoints()
        self.agent = UpgradeAgent(context(self.clock), self.endpoints)

    def request(
        self, uri: bytes = b"http://example.com/", headers: dict[str, list[str]] = UPGRADE
    ) -> Deferred[IResponse]:
        """A request that has arrived at the server."""
        response = self.agent.request(b"DIAL", uri, Headers(headers))
        self.transport = self.endpoints.accept()
        return response

    def answered(self, *chunks: bytes) -> IResponse:
        """The response made of ``chunks``."""
        response = self.request()
        self.transport.deliver(*chunks)
        return self.successResultOf(response)

    def assert_refused(
        self, response: Deferred[Any], kind: type[Exception], text: str = ""
    ) -> None:
        """It has failed, and nothing is left."""
        failure = self.failureResultOf(response, kind)
        self.assertIn(text, str(failure.value))
        self.assertEqual(self.transport.closing, "abort")
        self.assertEqual(self.clock.getDelayedCalls(), [])
