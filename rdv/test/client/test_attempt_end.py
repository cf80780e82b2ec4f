"""
Attempts that fail: every wait ends, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from rdv.addresses import AddressSpace
from rdv.errors import NoConnection, ServerUnreachable
from rdv.test.client.doubles import CONFIRM, PEER, TOKEN, URL, AttemptTestCase, ByteTransport


class UnreachableTests(AttemptTestCase):
    """No connection to the server, or none that lasts."""

    def fails(self) -> str:
        """Why the server is said to be unreachable; nothing is left then."""
        text = str(self.failureResultOf(self.attempt, ServerUnreachable).value)
        before, _, reason = text.removeprefix("cannot reach http://").partition(": ")
        self.assertIn(before, (URL.removeprefix("http://"), "nowhere.example/"))
        self.assertNotIn("\n", reason)
        self.assert_done()
        return reason

    def test_not_connected(self) -> None:
        for error, reason in (
            (Refused(osError=111), "connection refused"),
            (ConnectError(osError=113), "no route to host"),
            (ConnectTimeoutError(), "no answer in time"),
        ):
            self.setUp()
            self.attempt = self.client(server_timeout=7).dial(URL, TOKEN, timeout=None)
            self.assertEqual(self.reactor.tcpClients[0][3], 7)
            self.reactor.failed(error)
            self.assertEqual(self.fails(), reason)

    def test_name(self) -> None:
        for silent, reason in ((False, "the name does not resolve"), (True, "no answer in time")):
            self.setUp()
            self.reactor.resolver.silent = silent
            self.attempt = self.client().dial("http://nowhere.example/", TOKEN, timeout=None)
            self.reactor.advance(10 * silent)
            self.assertEqual(self.fails(), reason)

    def test_no_answer(self) -> None:
        """Nor is anybody let in any more who waited for one."""
        for error, reason in ((None, "the connection ended without"), (ConnectionLost("x"), "x")):
            self.setUp()
            self.accept()
            stranger = self.arrive()
            self.server.lose(error)
            self.assertEqual(stranger.closing, "abort")
            self.assertNoResult(self.attempt)
            inbound = self.reactor.tcpServers[0][1]
            self.assertIsNone(inbound.buildProtocol(stranger.getPeer()))
            stranger.lose()
            self.assertIn(reason, self.fails())

    def test_head_stalls(self) -> None:
        self.dial(server_timeout=7)
        self.server.deliver(b"HTTP/1.1 101 Swi")
        self.reactor.advance(7)
        self.assertEqual(self.server.closing, "abort")
        self.assertNoResult(self.attempt)
        self.server.lose()
        self.assertIn("did not complete within 7 s", self.fails())


class NobodyWinsTests(AttemptTestCase):
    """The race has no winner."""

    def no_connection(self, *transports: ByteTransport) -> str:
        """What the failure says."""
        self.assert_done(*transports)
        return str(self.failureResultOf(self.attempt, NoConnection).value)

    def test_peer_does_not_show_up(self) -> None:
        for begin in (self.dial, self.accept):
            for limit, options in ((30, {}), (3, {"handshake_timeout": 3})):
                self.setUp()
                begin(**options)
                self.answer(PEER)
                direct = self.reactor.connected()
                self.reactor.advance(limit - 0.1)
                self.assertNoResult(self.attempt)
                self.reactor.advance(0.1)
                text = self.no_connection(direct, self.server)
                self.assertEqual(text, "no path to the peer: nobody answered")

    def test_nothing_but_the_relay(self) -> None:
        ends: tuple[tuple[Callable[[], Any], str], ...] = (
            (lambda: self.server.lose(ConnectionLost("reset")), "reset"),
            (lambda: self.server.end(), "relay: "),
            (lambda: self.server.deliver(b"HTTP/1.1 500 Oops\r\n\r\n"), "relay: "),
        )
        for end, reason in ends:
            for begin in (self.dial, self.accept):
                self.setUp()
                begin(spaces=AddressSpace.NONE)
                self.answer(PEER)
                end()
                left = [] if self.server.gone else [self.server]
                self.assertIn(reason, self.no_connection(*left))

    def test_relay_lost(self) -> None:
        """Some seconds are left for a direct path, which prolong nothing."""
        for passed, left in ((0, 5), (28, 2)):
            for comes in (True, False):
                self.setUp()
                self.accept()
                self.answer(PEER)
                direct = self.reactor.connected()
                self.reactor.advance(passed)
                self.server.lose(ConnectionLost())
                self.reactor.advance(left - 0.1)
                self.assertNoResult(self.attempt)
                if comes:
                    direct.deliver(CONFIRM)
                    self.successResultOf(self.attempt)
                    self.assert_done()
                else:
                    self.reactor.advance(0.1)
                    self.no_connection(direct)

    def test_reasons(self) -> None:
        self.dial()
        self.answer(PEER)
        self.reactor.failed(Refused(osError=111))
        self.server.lose(ConnectionLost())
        self.reactor.advance(5)
        text = self.no_connection()
        self.assertIn(f"{PEER}: connection refused", text)
        self.assertIn("relay: ", text)
        self.assertNotIn("\n", text)


class LogTests(AttemptTestCase):
    """What is logged."""

    def test_not_the_token(self) -> None:
        events: list[LogEvent] = []
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        token = "an unmistakable secret"
        self.attempt = self.client().dial(URL, token)
        self.server = self.reactor.connected()
        self.answer(PEER)
        self.reactor.failed(Refused())
        self.server.deliver(b"?")
        self.server.lose()
        self.attempt.cancel()
        self.failureResultOf(self.attempt)
        self.assertIn(PEER, "".join(map(formatEvent, events)))
        for event in events:
            self.assertNotIn("secret", formatEvent(event) + repr(event))
