"""
The race when nobody wins: every wait ends, and says why.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from rdv.addresses import AddressSpace
from rdv.errors import NoConnection
from rdv.test.client.doubles import CONFIRM, PEER, URL, AttemptTestCase


class EndTests(AttemptTestCase):
    """Every wait ends."""

    def no_connection(self) -> str:
        """What the failure says."""
        return str(self.failureResultOf(self.attempt, NoConnection).value)

    def assert_peer_vanished(self) -> None:
        """It ends by itself when the peer does not show up."""
        self.answer(PEER)
        direct = self.reactor.connected()
        self.reactor.advance(29.9)
        self.assertNoResult(self.attempt)
        self.reactor.advance(0.1)
        self.assert_done(direct, self.server)
        self.assertEqual(self.no_connection(), "no path to the peer: nobody answered")

    def test_acceptor_vanished(self) -> None:
        self.dial()
        self.assert_peer_vanished()

    def test_dialer_vanished(self) -> None:
        self.accept()
        self.assert_peer_vanished()

    def test_another_limit(self) -> None:
        self.accept(handshake_timeout=3)
        self.answer()
        self.reactor.advance(3)
        self.assert_done(self.server)
        self.no_connection()

    def test_relay_lost_and_nothing_else(self) -> None:
        self.dial(spaces=AddressSpace.NONE)
        self.answer(PEER)
        self.server.lose(ConnectionLost("reset"))
        self.assertIn("reset", self.no_connection())
        self.assert_done()

    def test_relay_ended_and_nothing_else(self) -> None:
        self.accept(spaces=AddressSpace.NONE)
        self.answer(PEER)
        self.server.end()
        self.assert_done(self.server)
        self.assertIn("relay: ", self.no_connection())

    def test_relay_says_something_else(self) -> None:
        self.dial(spaces=AddressSpace.NONE)
        self.answer(PEER)
        self.server.deliver(b"HTTP/1.1 500 Oops\r\n\r\n")
        self.assert_done(self.server)
        self.assertIn("relay: ", self.no_connection())

    def test_some_seconds_for_a_direct_path_when_the_relay_is_lost(self) -> None:
        self.accept()
        self.answer(PEER)
        direct = self.reactor.connected()
        self.server.lose(ConnectionLost())
        self.reactor.advance(4.9)
        self.assertNoResult(self.attempt)
        self.reactor.advance(0.1)
        self.assert_done(direct)
        self.no_connection()

    def test_direct_path_when_the_relay_is_lost(self) -> None:
        self.accept()
        self.answer(PEER)
        direct = self.reactor.connected()
        self.server.lose(ConnectionLost())
        self.reactor.advance(4.9)
        direct.deliver(CONFIRM)
        self.successResultOf(self.attempt)
        self.assert_done()

    def test_those_seconds_prolong_nothing(self) -> None:
        self.accept()
        self.answer(PEER)
        self.reactor.advance(28)
        self.server.lose(ConnectionLost())
        self.reactor.advance(2)
        self.no_connection()

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
    """What is written down."""

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
