"""
How the server is reached.
"""

from __future__ import annotations

from dataclasses import replace
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
from rdv.addresses import Address, parse_ip
from rdv.client.dial.shared_port import SharedPort
from rdv.client.http.policy import tls_policy
from rdv.client.http.proxy import Proxy
from rdv.client.http.server_endpoint import ServerEndpoints
from rdv.test.client.doubles import ClientReactor, context
from rdv.test.doubles import Wire


@implementer(IPolicyForHTTPS)
class Policy:
    """Records the hosts for which it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        self.asked.append((hostname, port))
        return tls_policy().creatorForNetloc(hostname, port)


class EndpointTestCase(SynchronousTestCase):
    """A reactor in memory with some names."""

    names = {
        "both.example": ["2001:db8::1", "192.0.2.1"],
        "dual.example": ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"],
        "four.example": ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"],
        "six.example": ["2001:db8::1", "2001:db8::2"],
        "one.example": ["192.0.2.1"],
        "zone.example": ["fe80::1%eth0"],
    }

    def setUp(self) -> None:
        self.reactor = ClientReactor(self.names)
        self.policy = Policy()
        self.wire = Wire()
        self.use()

    def use(self, **options: Any) -> None:
        """Have endpoints of another attempt."""
        port = SharedPort(self.reactor, cast(Any, Factory()))
        attempt = context(self.reactor, tls=self.policy, server_timeout=9)
        self.endpoints = ServerEndpoints(replace(attempt, **options), port)

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

    def test_literal(self) -> None:
        """Nothing has to be resolved; each scheme has its port."""
        for uri, host, port in (
            ("http://192.0.2.80:8080/", "192.0.2.80", 8080),
            ("http://[2001:db8::80]:8080/", "2001:db8::80", 8080),
            ("http://[::ffff:192.0.2.80]:8080/", "192.0.2.80", 8080),
            ("http://192.0.2.80/", "192.0.2.80", 80),
            ("https://192.0.2.80/", "192.0.2.80", 443),
        ):
            self.setUp()
            connecting = self.connect(uri)
            self.assertEqual(self.dialled(), [(host, port)])
            self.assertEqual(self.reactor.resolver.asked, [])
            if port == 8080:
                self.reactor.connected()
                self.assertIs(self.successResultOf(connecting), self.wire)

    def test_name(self) -> None:
        """
        Each address once, IPv4 first, in the order that the peer has too; in the end one refusal is
        told, by its place.
        """
        for host, addresses, told in (
            ("one.example", ["192.0.2.1"], 0),
            ("both.example", ["192.0.2.1", "2001:db8::1"], 0),
            ("dual.example", ["192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"], 1),
            ("four.example", ["192.0.2.2", "192.0.2.1", "192.0.2.3"], 2),
            ("six.example", ["2001:db8::2", "2001:db8::1"], 1),
        ):
            for refusals in range(len(addresses) + 1):
                self.setUp()
                kinds = (Refused, ConnectTimeoutError, ConnectError, Refused)
                errors = [kind() for kind in kinds[:refusals]]
                connecting = self.connect(f"http://{host}/")
                for number, error in enumerate(errors, 1):
                    self.assertEqual(self.dialled(), [(each, 80) for each in addresses[:number]])
                    self.reactor.failed(error)
                if refusals == len(addresses):
                    failure = self.failureResultOf(connecting, ConnectError)
                    self.assertIs(failure.value, errors[told])
                else:
                    self.reactor.connected()
                    self.assertIs(self.successResultOf(connecting), self.wire)
                    self.assertIs(self.successResultOf(self.wire.made), self.wire)
                    self.assertIsNone(self.wire.reason)

    def test_first_of_several(self) -> None:
        """Somebody else sees to the others, and to IPv6."""
        for host, others in (
            ("dual.example", ["192.0.2.1"]),
            ("four.example", ["192.0.2.1", "192.0.2.3"]),
            ("one.example", []),
            ("six.example", ["2001:db8::1"]),
        ):
            self.setUp()
            found: list[Address] = []
            self.use(found=found.extend)
            connecting = self.connect(f"http://{host}/")
            self.assertEqual([str(each.ip) for each in found], others)
            self.reactor.failed(Refused())
            self.failureResultOf(connecting, Refused)
            self.assertEqual(len(self.dialled()), 1)

    def test_one_of_several(self) -> None:
        """The last one has IPv6 behind it."""
        for ip, is_last, dialled in (
            ("192.0.2.2", False, ["192.0.2.2"]),
            ("192.0.2.2", True, ["192.0.2.2", "2001:db8::2", "2001:db8::1"]),
            ("2001:db8::1", True, ["2001:db8::1"]),
        ):
            self.setUp()
            self.use(machine=Address(parse_ip(ip), 80), is_last=is_last)
            connecting = self.connect("http://dual.example/")
            for _ in dialled:
                self.reactor.failed(Refused())
            self.failureResultOf(connecting, Refused)
            self.assertEqual(self.dialled(), [(each, 80) for each in dialled])

    def test_order_of_a_proxy(self) -> None:
        """It is nobody's meeting place: the resolver knows best."""
        proxy = Proxy("four.example", 3128)
        port = SharedPort(self.reactor, cast(Any, Factory()))
        self.endpoints = ServerEndpoints(context(self.reactor, server_timeout=9), port, proxy)
        self.connect("http://one.example/").addErrback(lambda _: None)
        for _ in range(3):
            self.reactor.failed(Refused())
        addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
        self.assertEqual(self.dialled(), [(each, 3128) for each in addresses])

    def test_ipv6_is_not_asked_for_early(self) -> None:
        self.connect("http://both.example/")
        self.assertEqual(self.reactor.resolver.asked, [("both.example", [IPv4Address])])
        self.reactor.failed(Refused())
        self.assertEqual(self.reactor.resolver.asked[1:], [("both.example", [IPv6Address])])

    def test_no_address(self) -> None:
        """Nor one that can be dialled: a link-local one, with its zone."""
        for host in ("nowhere.example", "zone.example"):
            self.failureResultOf(self.connect(f"http://{host}/"), DNSLookupError)
        self.assertEqual(self.dialled(), [])

    def test_from_the_shared_port(self) -> None:
        binding = makeBinding("", ClientReactor.number, reuseAddress=True, reusePort=True)
        for uri in ("http://192.0.2.80/", "http://six.example/"):
            self.connect(uri)
            self.assertEqual(self.reactor.tcpClients[-1][4], binding)


class TimeTests(EndpointTestCase):
    """How long it may take."""

    def timeouts(self) -> list[float]:
        """Those of the dials so far."""
        return [client[3] for client in self.reactor.tcpClients]

    def test_shares(self) -> None:
        """
        IPv6 counts as one address of a name, as nobody has asked for it yet, and gets what the
        others leave. One that is silent is left soon for another of its kind.
        """
        for host, took, shares in (
            ("192.0.2.80", (), [9]),
            ("[2001:db8::80]", (), [9]),
            ("four.example", (9 / 4, 9 / 4, 9 / 4), [9 / 4, 9 / 4, 9 / 4]),
            ("four.example", (0, 0), [9 / 4, 2.5, 9 / 2]),  # unused time goes to the next one
            ("dual.example", (2.5, 3.25, 1.625), [2.5, 3.25, 1.625, 1.625]),
        ):
            self.setUp()
            self.connect(f"http://{host}/").addErrback(lambda _: None)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            for seconds in took:
                self.reactor.advance(seconds)
                self.reactor.failed(ConnectTimeoutError())
            self.assertEqual(self.timeouts(), shares)

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
        """And answers too late."""
        self.reactor.resolver.silent = True
        connecting = self.connect("http://one.example/")
        self.reactor.advance(8)
        self.assertNoResult(connecting)
        self.reactor.advance(1)
        self.failureResultOf(connecting, DeferTimeoutError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.reactor.resolver.answer("192.0.2.1")
        self.assertEqual(self.dialled(), [])

    def test_cancelled_while_resolving(self) -> None:
        self.reactor.resolver.silent = True
        connecting = self.connect("http://one.example/")
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled_while_connecting(self) -> None:
        """Cancelling is no failure after which another one is tried."""
        for refusals in range(3):
            self.setUp()
            connecting = self.connect("http://dual.example/")
            for _ in range(refusals):
                self.reactor.failed(Refused())
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError, ConnectingCancelledError)
            self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)
            self.assertEqual(len(self.dialled()), refusals + 1)


class HTTPSTests(EndpointTestCase):
    """TLS, for https only."""

    def test_policy_is_asked(self) -> None:
        """For the name or the address; and not for http, which is plain."""
        self.connect("https://one.example:8443/")
        self.connect("https://[2001:db8::80]:8443/")
        self.connect("http://one.example/")
        self.assertEqual(self.reactor.connected().value(), b"")
        self.assertEqual(self.policy.asked, [(b"one.example", 8443), (b"2001:db8::80", 8443)])

    def test_client_hello(self) -> None:
        self.connect("https://one.example/")
        transport = self.reactor.connected()
        self.reactor.advance(0)
        self.assertEqual(transport.value()[:2], b"\x16\x03")
        self.assertIn(b"one.example", transport.value())
