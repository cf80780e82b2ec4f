"""
Cancelling an attempt, and running out of time, at every stage: nothing is left, and the Deferred
says so only when that is true.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost

from rdv.errors import AttemptTimeout, ServerUnreachable
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, TOKEN, URL, AttemptTestCase


class CancelTests(AttemptTestCase):
    """Cancelling."""

    def assert_cancelled(self) -> None:
        """It is, and nothing is left."""
        self.failureResultOf(self.attempt, CancelledError)
        self.assert_done()

    def test_resolving(self) -> None:
        self.reactor.resolver.silent = True
        self.attempt = self.client().dial("http://example.com/", TOKEN)
        self.attempt.cancel()
        self.assert_cancelled()
        self.assertEqual(self.reactor.tcpClients, [])

    def test_connecting(self) -> None:
        self.attempt = self.client().dial(URL, TOKEN)
        self.attempt.cancel()
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assert_cancelled()

    def test_waiting(self) -> None:
        self.dial()
        self.attempt.cancel()
        self.assertEqual(self.server.closing, "abort")
        self.assertNoResult(self.attempt)
        self.server.lose()
        self.assert_cancelled()

    def test_waiting_with_strangers(self) -> None:
        self.accept()
        stranger = self.arrive()
        self.attempt.cancel()
        self.server.lose()
        self.assertEqual(stranger.closing, "abort")
        self.assertNoResult(self.attempt)
        stranger.lose()
        self.assert_cancelled()

    def test_in_the_head(self) -> None:
        self.dial()
        self.server.deliver(b"HTTP/1.1 101 Swi")
        self.attempt.cancel()
        self.server.lose()
        self.assert_cancelled()

    def test_in_the_body_of_a_refusal(self) -> None:
        self.dial()
        self.server.deliver(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno")
        self.attempt.cancel()
        self.server.lose()
        self.assert_cancelled()

    def test_racing(self) -> None:
        for begin in (self.dial, self.accept):
            begin()
            self.answer(PEER, "203.0.113.9:41001")
            direct, inbound = self.reactor.connected(-2), self.arrive(port=41002)
            self.attempt.cancel()
            self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)
            transports = [self.server, direct, inbound]
            self.assertEqual([t.closing for t in transports], ["abort"] * 3)
            for transport in transports:
                self.assertNoResult(self.attempt)
                transport.lose()
            self.assert_cancelled()
            self.reactor.tcpServers.clear()

    def test_in_the_penalty(self) -> None:
        self.dial()
        self.answer(PEER)
        self.server.deliver(HELLO)
        self.attempt.cancel()
        self.server.lose()
        self.assert_cancelled()

    def test_between_two_requests(self) -> None:
        self.dial()
        self.server.deliver(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        self.server.lose()
        self.assertNoResult(self.attempt)
        self.attempt.cancel()
        self.assert_cancelled()

    def test_when_the_choice_is_made_and_losers_are_still_closing(self) -> None:
        self.dial()
        self.answer(PEER)
        winner = self.reactor.connected()
        winner.deliver(HELLO)
        self.assertEqual(winner.value(), CONFIRM)
        self.attempt.cancel()
        self.assert_done(self.server, winner)
        self.failureResultOf(self.attempt, CancelledError)

    def test_twice(self) -> None:
        self.accept()
        self.answer(PEER)
        direct = self.reactor.connected()
        self.attempt.cancel()
        self.attempt.cancel()
        self.assert_done(self.server, direct)
        self.failureResultOf(self.attempt, CancelledError)

    def test_twice_while_waiting(self) -> None:
        self.accept()
        stranger = self.arrive()
        self.attempt.cancel()
        self.attempt.cancel()
        self.assert_done(self.server, stranger)
        self.failureResultOf(self.attempt, CancelledError)

    def test_cancelled_when_it_is_failing_already(self) -> None:
        self.accept()
        stranger = self.arrive()
        self.server.lose()
        self.attempt.cancel()
        self.assert_done(stranger)
        self.failureResultOf(self.attempt, CancelledError, ServerUnreachable)

    def test_afterwards(self) -> None:
        self.accept()
        self.answer()
        self.server.deliver(CONFIRM)
        connection = self.successResultOf(self.attempt)
        self.attempt.cancel()
        self.assertEqual(self.server.closing, "")
        connection.abortConnection()


class TimeoutTests(AttemptTestCase):
    """Running out of the time that the caller has given."""

    def timed_out(self) -> str:
        """What the failure says; nothing is left."""
        text = str(self.failureResultOf(self.attempt, AttemptTimeout).value)
        self.assert_done()
        return text

    def test_resolving(self) -> None:
        self.reactor.resolver.silent = True
        self.attempt = self.client().dial("http://example.com/", TOKEN, timeout=5)
        self.reactor.advance(5)
        self.assertIn("no connection within 5 s", self.timed_out())

    def test_connecting(self) -> None:
        self.attempt = self.client().dial(URL, TOKEN, timeout=5)
        self.reactor.advance(5)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertIn("no connection within 5 s", self.timed_out())

    def test_waiting(self) -> None:
        self.dial(timeout=60)
        self.reactor.advance(59.9)
        self.assertNoResult(self.attempt)
        self.reactor.advance(0.1)
        self.server.lose()
        self.assertEqual(
            self.timed_out(), f"no connection within 60 s: the peer did not come to {URL}"
        )

    def test_racing(self) -> None:
        self.dial(timeout=20)
        self.answer(PEER)
        self.reactor.advance(20)
        self.server.lose()
        self.assertEqual(self.timed_out(), "no connection within 20 s: no path to the peer")

    def test_in_the_pause_between_two_requests(self) -> None:
        self.dial(timeout=0.5)
        self.server.deliver(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        self.server.lose()
        self.reactor.advance(0.5)
        self.assertEqual(
            self.timed_out(), f"no connection within 0.5 s: the peer did not come to {URL}"
        )

    def test_when_the_choice_is_made_and_losers_are_still_closing(self) -> None:
        self.dial(timeout=20)
        self.answer(PEER)
        winner = self.reactor.connected()
        winner.deliver(HELLO)
        self.reactor.advance(20)
        self.assert_done(self.server, winner)
        self.failureResultOf(self.attempt, AttemptTimeout)

    def test_by_default(self) -> None:
        self.attempt = self.client().dial(URL, TOKEN)
        server = self.reactor.connected()
        self.reactor.advance(60)
        server.lose()
        self.assertIn("no connection within 60 s", self.timed_out())

    def test_acceptor_waits_for_ever_by_default(self) -> None:
        self.attempt = self.client().accept(URL, TOKEN)
        self.server = self.reactor.connected()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertNoResult(self.attempt)

    def test_nothing_left_of_it_in_the_clock(self) -> None:
        self.accept(timeout=60)
        self.answer()
        self.server.deliver(CONFIRM)
        self.successResultOf(self.attempt)
        self.assert_done()

    def test_nothing_left_of_it_after_a_failure(self) -> None:
        self.accept(timeout=60)
        self.server.lose(ConnectionLost())
        self.failureResultOf(self.attempt, ServerUnreachable)
        self.assert_done()
