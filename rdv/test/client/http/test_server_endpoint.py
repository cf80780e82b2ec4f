"""
How the server is reached.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
)
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocol
from twisted.internet.protocol import Factory
from twisted.internet.tcp import makeBinding
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rdv._transport.handover import one_protocol
from rdv.client.dial.shared_port import SharedPort
from rdv.client.http.server_endpoint import ServerEndpoints
from rdv.client.http.verification import tls_policy
from rdv.test.client.doubles import ClientReactor, context
from rdv.test.doubles import Wire


@implementer(IPolicyForHTTPS)
class Policy:
    """Remembers for whom it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        self.asked.append((hostname, port))
        return tls_policy().creatorForNetloc(hostname, port)


class EndpointTestCase(SynchronousTestCase):
    """A reactor in memory with some names."""

    names = {
        "both.example": ["2001:db8::1", "192.0.2.1"],
        "four.example": ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"],
        "six.example": ["2001:db8::1", "2001:db8::2"],
        "one.example": ["192.0.2.1"],
        "zone.example": ["fe80::1%eth0"],
    }

    def setUp(self) -> None:
        self.reactor = ClientReactor(self.names)
        self.policy = Policy()
        port = SharedPort(self.reactor, cast(Any, Factory()))
        self.endpoints = ServerEndpoints(
            context(self.reactor, tls=self.policy, server_timeout=9), port
        )
        self.wire = Wire()

    def connect(self, uri: str) -> Deferred[IProtocol]:
        """Connect to the server of ``uri``."""
        endpoint = self.endpoints.endpointForURI(URI.fromBytes(uri.encode()))
        return endpoint.connect(one_protocol(self.wire))

    def dialled(self) -> list[tuple[str, int]]:
        """What has been dialled so far."""
        return [client[:2] for client in self.reactor.tcpClients]


class AddressTests(EndpointTestCase):
    """Which addresses are dialled."""

    def test_interface(self) -> None:
        verifyObject(IAgentEndpointFactory, self.endpoints)

    def test_ipv4_literal(self) -> None:
        connecting = self.connect("http://192.0.2.80:8080/")
        self.assertEqual(self.dialled(), [("192.0.2.80", 8080)])
        self.assertEqual(self.reactor.resolver.asked, [])
        self.reactor.connected()
        self.assertIs(self.successResultOf(connecting), self.wire)

    def test_ipv6_literal(self) -> None:
        connecting = self.connect("http://[2001:db8::80]:8080/")
        self.assertEqual(self.dialled(), [("2001:db8::80", 8080)])
        self.assertEqual(self.reactor.resolver.asked, [])
        self.reactor.connected()
        self.assertIs(self.successResultOf(connecting), self.wire)

    def test_mapped_literal(self) -> None:
        self.connect("http://[::ffff:192.0.2.80]:8080/")
        self.assertEqual(self.dialled(), [("192.0.2.80", 8080)])

    def test_default_ports(self) -> None:
        self.connect("http://192.0.2.80/")
        self.connect("https://192.0.2.80/")
        self.assertEqual(self.dialled(), [("192.0.2.80", 80), ("192.0.2.80", 443)])

    def test_ipv4_first(self) -> None:
        self.connect("http://both.example/")
        self.assertEqual(self.dialled(), [("192.0.2.1", 80)])
        self.assertEqual(self.reactor.resolver.asked, [("both.example", [IPv4Address])])

    def test_ipv6_when_ipv4_leads_nowhere(self) -> None:
        connecting = self.connect("http://both.example/")
        self.reactor.failed(Refused())
        self.assertEqual(len(self.dialled()), 2)
        self.assertIn(":", self.dialled()[1][0])
        self.reactor.connected(1)
        self.assertIs(self.successResultOf(connecting), self.wire)

    def test_ipv6_when_there_is_no_ipv4(self) -> None:
        connecting = self.connect("http://six.example/")
        self.assertEqual(self.dialled(), [("2001:db8::1", 80)])
        self.assertEqual(
            self.reactor.resolver.asked,
            [("six.example", [IPv4Address]), ("six.example", [IPv6Address])],
        )
        self.reactor.connected()
        self.assertIs(self.successResultOf(connecting), self.wire)

    def test_from_the_shared_port(self) -> None:
        binding = makeBinding("", ClientReactor.number, reuseAddress=True, reusePort=True)
        for uri in ("http://192.0.2.80/", "http://six.example/"):
            self.connect(uri)
            self.assertEqual(self.reactor.tcpClients[-1][4], binding)

    def test_unresolvable(self) -> None:
        self.failureResultOf(self.connect("http://nowhere.example/"), DNSLookupError)
        self.assertEqual(self.dialled(), [])

    def test_address_that_cannot_be_dialled(self) -> None:
        """A link-local one, with its zone: an error that says so, not a ValueError."""
        self.failureResultOf(self.connect("http://zone.example/"), DNSLookupError, ConnectError)
        self.assertEqual(self.dialled(), [])


class SeveralTests(EndpointTestCase):
    """A name with several addresses."""

    def test_next_one_after_a_failure(self) -> None:
        connecting = self.connect("http://four.example/")
        self.assertEqual(self.dialled(), [("192.0.2.1", 80)])
        self.reactor.failed(Refused())
        self.assertEqual(self.dialled(), [("192.0.2.1", 80), ("192.0.2.2", 80)])
        self.reactor.connected()
        self.assertIs(self.successResultOf(connecting), self.wire)
        self.assertEqual(len(self.dialled()), 2)

    def test_each_once(self) -> None:
        connecting = self.connect("http://four.example/")
        for _ in range(3):
            self.reactor.failed(Refused())
        self.failureResultOf(connecting, Refused)
        self.assertEqual(self.dialled(), [(f"192.0.2.{n}", 80) for n in (1, 2, 3)])

    def test_last_reason(self) -> None:
        connecting = self.connect("http://six.example/")
        self.reactor.failed(Refused())
        last = ConnectError(string="no route")
        self.reactor.failed(last)
        self.assertIs(self.failureResultOf(connecting, ConnectError).value, last)

    def test_protocol_sees_one_connection(self) -> None:
        connecting = self.connect("http://four.example/")
        self.reactor.failed(Refused())
        self.reactor.connected()
        self.successResultOf(connecting)
        self.assertIs(self.successResultOf(self.wire.made), self.wire)
        self.assertIsNone(self.wire.reason)


class TimeTests(EndpointTestCase):
    """How long it may take."""

    def timeouts(self) -> list[float]:
        """Those of the dials so far."""
        return [client[3] for client in self.reactor.tcpClients]

    def test_all_of_it_for_one(self) -> None:
        """An address can have no other of the other kind."""
        self.connect("http://192.0.2.80/")
        self.connect("http://[2001:db8::80]/")
        self.assertEqual(self.timeouts(), [9, 9])

    def test_shared_among_several(self) -> None:
        """IPv6 counts as one of them, as nobody has asked for it yet."""
        self.connect("http://four.example/").addErrback(lambda _: None)
        for share in (9 / 4, 9 / 4, 9 / 4):
            self.reactor.advance(share)
            self.reactor.failed(ConnectTimeoutError())
        self.assertEqual(self.timeouts(), [9 / 4] * 3)

    def test_what_one_leaves_is_for_the_next(self) -> None:
        self.connect("http://four.example/").addErrback(lambda _: None)
        for _ in range(3):
            self.reactor.failed(Refused())
        self.assertEqual(self.timeouts(), [9 / 4, 9 / 3, 9 / 2])

    def test_one_for_all_steps(self) -> None:
        """Names, IPv4, IPv6."""
        self.reactor.resolver.silent = True
        connecting = self.connect("http://both.example/")
        self.reactor.advance(1)
        self.reactor.resolver.answer("192.0.2.1")
        self.assertEqual(self.timeouts(), [4])
        self.reactor.advance(4)
        self.reactor.failed(ConnectTimeoutError())
        self.reactor.advance(3)
        self.reactor.resolver.answer("2001:db8::1")
        self.assertEqual(self.timeouts(), [4, 1])
        self.reactor.advance(1)
        self.reactor.failed(ConnectTimeoutError())
        self.failureResultOf(connecting, ConnectTimeoutError)

    def test_ipv6_is_not_found_in_time(self) -> None:
        """Then it is IPv4 that counts."""
        connecting = self.connect("http://both.example/")
        self.reactor.resolver.silent = True
        self.reactor.failed(Refused())
        self.reactor.advance(9)
        self.failureResultOf(connecting, Refused)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_resolver_is_silent(self) -> None:
        self.reactor.resolver.silent = True
        connecting = self.connect("http://one.example/")
        self.reactor.advance(8)
        self.assertNoResult(connecting)
        self.reactor.advance(1)
        self.failureResultOf(connecting, DeferTimeoutError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_resolver_answers_too_late(self) -> None:
        self.reactor.resolver.silent = True
        connecting = self.connect("http://one.example/")
        self.reactor.advance(9)
        self.failureResultOf(connecting, DeferTimeoutError)
        self.reactor.resolver.receivers[0].addressResolved(IPv4Address("TCP", "192.0.2.1", 80))
        self.reactor.resolver.receivers[0].resolutionComplete()
        self.assertEqual(self.dialled(), [])

    def test_nothing_left_in_the_clock(self) -> None:
        self.connect("http://one.example/")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled_while_resolving(self) -> None:
        self.reactor.resolver.silent = True
        connecting = self.connect("http://one.example/")
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled_while_connecting(self) -> None:
        connecting = self.connect("http://four.example/")
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError, ConnectingCancelledError)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(len(self.dialled()), 1)


class HTTPSTests(EndpointTestCase):
    """TLS, for https only."""

    def test_policy_is_asked_for_the_name(self) -> None:
        self.connect("https://one.example:8443/")
        self.assertEqual(self.policy.asked, [(b"one.example", 8443)])

    def test_policy_is_asked_for_an_address(self) -> None:
        self.connect("https://[2001:db8::80]:8443/")
        self.assertEqual(self.policy.asked, [(b"2001:db8::80", 8443)])

    def test_client_hello(self) -> None:
        self.connect("https://one.example/")
        transport = self.reactor.connected()
        self.reactor.advance(0)
        self.assertEqual(transport.value()[:2], b"\x16\x03")
        self.assertIn(b"one.example", transport.value())

    def test_http_is_plain(self) -> None:
        self.connect("http://one.example/")
        transport = self.reactor.connected()
        self.assertEqual((transport.value(), self.policy.asked), (b"", []))
