"""
Servers that cannot be reached, or do not last.
"""

from __future__ import annotations

from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError

from rdv.errors import ServerUnreachable
from rdv.test.client.doubles import TOKEN, URL, AttemptTestCase, ByteTransport


class UnreachableTests(AttemptTestCase):
    """No connection to the server, or none that lasts."""

    def fails(self) -> str:
        """What the failure says; nothing is left then."""
        text = str(self.failureResultOf(self.attempt, ServerUnreachable).value)
        self.assertTrue(text.startswith("cannot reach http://"), text)
        self.assertNotIn("\n", text)
        self.assert_done()
        return text

    def start(self, url: str = URL) -> None:
        """Dial, up to the connection."""
        self.attempt = self.client().dial(url, TOKEN, timeout=None)

    def test_refused(self) -> None:
        self.start()
        self.reactor.failed(Refused(osError=111))
        self.assertEqual(self.fails(), f"cannot reach {URL}: connection refused")

    def test_no_route(self) -> None:
        self.start()
        self.reactor.failed(ConnectError(osError=113))
        self.assertEqual(self.fails(), f"cannot reach {URL}: no route to host")

    def test_no_answer(self) -> None:
        self.start()
        self.reactor.failed(ConnectTimeoutError())
        self.assertEqual(self.fails(), f"cannot reach {URL}: no answer in time")

    def test_time_to_connect(self) -> None:
        self.attempt = self.client(server_timeout=7).dial(URL, TOKEN, timeout=None)
        self.assertEqual(self.reactor.tcpClients[0][3], 7)

    def test_unresolvable(self) -> None:
        self.start("http://nowhere.example/")
        self.assertIn("the name does not resolve", self.fails())

    def test_resolver_is_silent(self) -> None:
        self.reactor.resolver.silent = True
        self.start("http://nowhere.example/")
        self.reactor.advance(10)
        self.assertIn("no answer in time", self.fails())

    def test_ended_without_an_answer(self) -> None:
        self.dial()
        self.server.lose()
        self.assertIn("the connection ended without an answer", self.fails())

    def test_lost(self) -> None:
        self.dial()
        self.server.lose(ConnectionLost("reset"))
        self.assertIn("reset", self.fails())

    def test_head_stalls(self) -> None:
        self.dial(server_timeout=7)
        self.server.deliver(b"HTTP/1.1 101 Swi")
        self.reactor.advance(7)
        self.assertEqual(self.server.closing, "abort")
        self.assertNoResult(self.attempt)
        self.server.lose()
        self.assertIn("did not come within 7 s", self.fails())

    def test_held_ones_are_closed(self) -> None:
        self.accept()
        stranger: ByteTransport = self.arrive()
        self.server.lose()
        self.assertEqual(stranger.closing, "abort")
        self.assertNoResult(self.attempt)
        inbound = self.reactor.tcpServers[0][1]
        self.assertIsNone(inbound.buildProtocol(stranger.getPeer()))
        stranger.lose()
        self.fails()
