"""
How the server is reached through a proxy.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.internet.tcp import makeBinding
from twisted.logger import capturedLogs, eventAsJSON
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI

from rdv._transport.handover import one_protocol
from rdv.addresses import AddressSpace
from rdv.client.dial.shared_port import SharedPort
from rdv.client.http.server_endpoint import ServerEndpoints
from rdv.client.parsing import parse_proxy
from rdv.client.trace import Event, What
from rdv.errors import AttemptTimeout, ProtocolError, ProxyRefused, RdvError, ServerUnreachable
from rdv.test.client.doubles import (
    PEER,
    AttemptTestCase,
    ByteTransport,
    ClientReactor,
    answer,
    context,
    pieces,
)
from rdv.test.doubles import Wire

PROXY = "http://192.0.2.3:3128"
YES = b"HTTP/1.1 200 Connection established\r\n\r\n"


class TunnelTestCase(SynchronousTestCase):
    """A proxy in memory, which is asked for the server of a URI."""

    transport: ByteTransport

    def setUp(self) -> None:
        self.reactor = ClientReactor({"proxy.example": ["2001:db8::3", "192.0.2.3"]})
        self.wire = Wire()

    def connect(self, proxy: str = PROXY, uri: str = "http://server.example:8080/rdv") -> None:
        """Dial the proxy."""
        port = SharedPort(self.reactor, cast(Any, Factory()))
        endpoints = ServerEndpoints(
            context(self.reactor, server_timeout=9), port, parse_proxy(proxy)
        )
        endpoint = endpoints.endpointForURI(URI.fromBytes(uri.encode()))
        self.connecting: Deferred[IProtocol] = endpoint.connect(one_protocol(self.wire))

    def ask(self, *arguments: str) -> bytes:
        """Ask it; the request."""
        self.setUp()
        self.connect(*arguments)
        self.transport = self.reactor.connected()
        return bytes(self.transport.value())

    def assert_failed(self, kind: type[RdvError], text: str) -> RdvError:
        """It closes the connection, and when that is gone it fails, and nothing is left."""
        if not self.transport.gone:
            self.assertNoResult(self.connecting)
            self.assertEqual(self.transport.closing, "abort")
            self.transport.lose()
        failure = self.failureResultOf(self.connecting, kind)
        self.assertEqual(str(failure.value), text)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(self.wire.made.called)
        return cast(RdvError, failure.value)


class RequestTests(TunnelTestCase):
    """What the proxy is asked."""

    def test_targets(self) -> None:
        """It is a tunnel for ``http`` too; names are resolved by the proxy."""
        for uri, target in (
            ("http://server.example:8080/rdv", b"server.example:8080"),
            ("http://server.example/rdv", b"server.example:80"),
            ("https://server.example/rdv", b"server.example:443"),
            ("https://192.0.2.80:8443/", b"192.0.2.80:8443"),
            ("http://[2001:db8::80]:8080/", b"[2001:db8::80]:8080"),
        ):
            request = self.ask(PROXY, uri)
            self.assertEqual(request, b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
            self.assertEqual(self.reactor.resolver.asked, [])
            self.connecting.cancel()
            self.connecting.addErrback(lambda _: None)
            self.transport.lose()

    def test_proxy_by_name(self) -> None:
        """IPv4 first, from the shared port, as a server."""
        self.connect("proxy.example:3128")
        self.assertEqual(self.reactor.tcpClients[0][:2], ("192.0.2.3", 3128))
        self.reactor.failed(Refused())
        self.assertEqual(self.reactor.tcpClients[1][:2], ("2001:db8::3", 3128))
        binding = makeBinding("", ClientReactor.number, reuseAddress=True, reusePort=True)
        self.assertEqual([client[4] for client in self.reactor.tcpClients], [binding] * 2)
        self.reactor.connected().deliver(YES)
        self.assertIs(self.successResultOf(self.connecting), self.wire)

    def test_credentials(self) -> None:
        request = self.ask("http://x:y@192.0.2.3:3128")
        self.assertIn(b"\r\nProxy-Authorization: Basic eDp5\r\n", request)

    def test_log(self) -> None:
        """The credentials are in no event of the log, whatever form it is written in."""
        with capturedLogs() as events:
            self.ask("http://user:pa%20ss@192.0.2.3:3128")
        (event,) = [each for each in events if each["log_namespace"].endswith("tunnel")]
        self.assertEqual(event["proxy"], PROXY)
        self.assertNotIn("dXNlcjpwYSBzcw", eventAsJSON(event))


class AnswerTests(TunnelTestCase):
    """The proxy's response."""

    def test_connected(self) -> None:
        """Whatever a proxy puts into its answer, and however that comes."""
        for told in (
            YES,
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: x\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        ):
            for cuts in ((), range(len(told))):
                for behind in (b"", b"SSH-2.0"):
                    self.ask()
                    self.transport.clear()
                    self.transport.deliver(*pieces(told, cuts)[:-1])
                    self.assertNoResult(self.connecting)
                    self.transport.deliver(pieces(told, cuts)[-1] + behind)
                    self.assertIs(self.successResultOf(self.connecting), self.wire)
                    self.transport.deliver(b" and more")
                    self.assertEqual(self.wire.data, behind + b" and more")
                    self.wire.write(b"hello")
                    self.assertEqual(self.transport.value(), b"hello")
                    self.assertEqual(self.reactor.getDelayedCalls(), [])
                    self.transport.lose()
                    self.assertIsNotNone(self.wire.reason)

    def test_tls(self) -> None:
        """Within the tunnel, for the server's name."""
        asked = self.ask(PROXY, "https://server.example/")
        self.assertTrue(asked.startswith(b"CONNECT "))
        self.transport.clear()
        self.reactor.advance(0)
        self.assertEqual(self.transport.value(), b"")
        self.transport.deliver(YES)
        self.reactor.advance(0)
        self.assertEqual(self.transport.value()[:2], b"\x16\x03")
        self.assertIn(b"server.example", self.transport.value())

    def test_refused(self) -> None:
        proxy, target = f"the proxy {PROXY}", "server.example:8080"
        for status, kind, text in (
            (
                "407 Proxy Authentication Required",
                ProxyRefused,
                f"{proxy} requires a password",
            ),
            ("403 Nope\x1b[2J", ProxyRefused, f"{proxy} refuses to connect to {target}"),
            ("301 Moved", ProxyRefused, f"{proxy} refuses to connect to {target}"),
            ("502 Bad Gateway", ServerUnreachable, f"{proxy} could not connect to {target}"),
        ):
            self.ask()
            self.transport.deliver(f"HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\nbody".encode())
            code = int(status[:3])
            said = status.replace("\x1b", "?")
            hint = "" if code in (407, 502) else " (many only allow port 443)"
            error = self.assert_failed(kind, f"{text}: {said}{hint}")
            if isinstance(error, ProxyRefused):
                self.assertEqual(error.status, code)

    def test_refused_at_the_usual_port(self) -> None:
        self.ask(PROXY, "https://server.example/")
        self.transport.deliver(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        text = f"the proxy {PROXY} refuses to connect to server.example:443: 403 Forbidden"
        self.assert_failed(ProxyRefused, text)

    def test_password_is_wrong(self) -> None:
        """It is not shown."""
        self.ask("http://x:y@192.0.2.3:3128")
        self.transport.deliver(b"HTTP/1.1 407 No\r\n\r\n")
        text = f"the proxy {PROXY} does not accept this user name and password: 407 No"
        self.assert_failed(ProxyRefused, text)

    def test_no_http(self) -> None:
        """One that waits then, as many do, is not waited for."""
        for said in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02", b"\x00"):
            for early in (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"):
                self.ask()
                self.transport.deliver(*pieces(early, range(len(early))))
                self.transport.deliver(said)
                text = f"the proxy {PROXY} does not respond with HTTP"
                self.assert_failed(ProtocolError, text)

    def test_endless_head(self) -> None:
        """No more than some KiB of it are kept."""
        self.ask()
        for _ in range(64):
            if not self.transport.closing:
                self.transport.deliver(b"X: y\r\n" * 1000)
        self.transport.lose()
        self.failureResultOf(self.connecting, ProtocolError)

    def test_header_that_cannot_be(self) -> None:
        """It is not shown either."""
        port = SharedPort(self.reactor, cast(Any, Factory()))
        proxy = parse_proxy(PROXY)._replace(authorization=b"secret\r\nX: y")
        endpoints = ServerEndpoints(context(self.reactor), port, proxy)
        endpoint = endpoints.endpointForURI(URI.fromBytes(b"http://server.example/"))
        self.connecting = endpoint.connect(one_protocol(self.wire))
        self.transport = self.reactor.connected()
        text = "a header of the request to the proxy cannot be sent"
        self.assert_failed(ProtocolError, text)


class EndTests(TunnelTestCase):
    """No answer."""

    def test_unreachable(self) -> None:
        for error, text in (
            (Refused(osError=111), "connection refused"),
            (ConnectTimeoutError(), "no answer in time"),
        ):
            self.setUp()
            self.connect()
            self.reactor.failed(error)
            failure = self.failureResultOf(self.connecting, ServerUnreachable)
            told = f"the proxy {PROXY} cannot be reached: {text}"
            self.assertEqual(str(failure.value), told)
        self.connect("nowhere.example:3128")
        told = "the proxy http://nowhere.example:3128 cannot be reached: the name does not resolve"
        failure = self.failureResultOf(self.connecting, ServerUnreachable)
        self.assertEqual(str(failure.value), told)

    def test_lost(self) -> None:
        for error, text in (
            (None, "the connection ended without an answer"),
            (ConnectionLost("it was reset"), "it was reset"),
        ):
            self.ask()
            self.transport.deliver(b"HTTP/1.1 200 ")
            self.transport.lose(error)
            failure = self.failureResultOf(self.connecting, ServerUnreachable)
            self.assertIn(text, str(failure.value))
            self.assertTrue(str(failure.value).startswith(f"the proxy {PROXY}: "))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """To reach it and to be answered take one time together."""
        for spent in (0, 5, 9):
            self.setUp()
            self.connect()
            self.reactor.advance(spent)
            self.transport = self.reactor.connected()
            self.transport.deliver(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            self.reactor.advance(8.5 - spent)
            if spent < 9:
                self.assertEqual(self.transport.closing, "")
            self.reactor.advance(0.5)
            text = f"the proxy {PROXY} did not connect to server.example:8080 within 9 s"
            self.assert_failed(ServerUnreachable, text)

    def test_cancelled(self) -> None:
        """Wherever it is: nothing is left, and it ends when that is so."""
        self.connect()
        self.connecting.cancel()
        self.failureResultOf(self.connecting)
        self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)
        self.ask()
        self.connecting.cancel()
        self.assertNoResult(self.connecting)
        self.assertEqual(self.transport.closing, "abort")
        self.transport.deliver(YES)  # too late
        self.transport.lose()
        self.failureResultOf(self.connecting, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(self.wire.made.called)


class AttemptTests(AttemptTestCase):
    """A whole attempt through one."""

    def start(self, **options: Any) -> bytes:
        """The proxy's request, and then there is a tunnel."""
        self.events: list[Event] = []
        client = self.client(proxy=PROXY, trace=self.events.append)
        self.attempt = client.dial("http://server.example/rdv", "token", timeout=None, **options)
        self.server = self.reactor.connected()
        asked: bytes = self.server.value()
        self.server.clear()
        self.server.deliver(YES)
        return asked

    def test_request(self) -> None:
        """It is the same as without, and so is what comes then."""
        self.start()
        sent = self.server.value()
        self.assertTrue(sent.startswith(b"DIAL /rdv HTTP/1.1\r\nHost: server.example\r\n"), sent)
        self.server.deliver(answer(PEER, extra="Rdv-Observed-Addr: 203.0.113.3:9\r\n"))
        self.assertEqual(self.dialled(), [PEER])
        told = [event.what for event in self.events][:9]
        expected = "BEGUN ADDRESSES PROXIED RESOLVED CALLED REACHED ASKED ANSWERED MET"
        self.assertEqual(told, [What[name] for name in expected.split()])
        self.assertEqual(self.events[2].fields, {"proxy": PROXY})

    def test_observed_address(self) -> None:
        """It is the proxy's, and none of ours."""
        self.dial(proxy=PROXY, spaces=AddressSpace.NONE)
        self.server.deliver(
            answer(PEER, extra="Rdv-Observed-Addr: 203.0.113.3:9\r\n") + b"rdv/1 HELLO token\r\n"
        )
        connection = self.successResultOf(self.attempt)
        self.assertIsNone(connection.observed_address)
        connection.abortConnection()

    def test_credentials_in_a_header(self) -> None:
        """They are for the proxy alone; where there is none, nothing is known of them."""
        given = {"Proxy-Authorization": "Bearer x", "X-Other": "1"}
        asked = self.start(headers=given)
        self.assertIn(b"\r\nProxy-Authorization: Bearer x\r\n", asked)
        self.assertNotIn(b"X-Other", asked)
        sent = self.server.value()
        self.assertNotIn(b"Proxy-Authorization", sent)
        self.assertIn(b"\r\nX-Other: 1\r\n", sent)
        self.assertEqual(len(given), 2)
        self.attempt.addErrback(lambda _: None)
        self.attempt.cancel()
        self.server.lose()
        self.attempt = self.client().dial("http://192.0.2.80/", "token", headers=given)
        self.assertIn(b"Proxy-Authorization", self.reactor.connected().value())

    def test_cancelled(self) -> None:
        """While the proxy is dialled, or asked: it is over when nothing is left."""
        for is_asked in (False, True):
            self.setUp()
            self.attempt = self.client(proxy=PROXY).dial("http://server.example/", "token")
            if is_asked:
                self.server = self.reactor.connected()
            self.attempt.cancel()
            if is_asked:
                self.assertNoResult(self.attempt)
                self.assert_done(self.server)
            self.assertTrue(is_asked or self.reactor.connectors[-1].stoppedConnecting)
            self.failureResultOf(self.attempt, CancelledError)
            self.assertFalse(any(port.open for port in self.reactor.ports))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_time_is_up(self) -> None:
        """That of the caller."""
        self.attempt = self.client(proxy=PROXY).dial("http://server.example/", "token", timeout=2)
        self.server = self.reactor.connected()
        self.reactor.advance(2)
        self.assert_done(self.server)
        failure = self.failureResultOf(self.attempt, AttemptTimeout)
        text = "no connection within 2 s: http://server.example/ did not answer"
        self.assertEqual(str(failure.value), text)

    def test_failure(self) -> None:
        """It says what could not be reached, and why; the trace too."""
        for told, text in (
            (
                b"HTTP/1.1 502 Bad\r\n\r\n",
                "cannot reach http://server.example/rdv: "
                f"the proxy {PROXY} could not connect to server.example:80: 502 Bad",
            ),
            (
                b"HTTP/1.1 407 No\r\n\r\n",
                f"the proxy {PROXY} requires a password: 407 No",
            ),
        ):
            self.setUp()
            self.events = []
            client = self.client(proxy=PROXY, trace=self.events.append)
            self.attempt = client.dial("http://server.example/rdv", "token", timeout=None)
            self.server = self.reactor.connected()
            self.server.deliver(told)
            self.assert_done(self.server)
            self.assertEqual(str(self.failureResultOf(self.attempt, RdvError).value), text)
            self.assertEqual(self.events[-1].fields["reason"], text)
            unreached = self.events[-2]
            self.assertIs(unreached.what, What.UNREACHED)
            self.assertIn(str(unreached.fields["reason"]), text)
