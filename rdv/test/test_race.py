"""
Who wins.
"""

from __future__ import annotations

import gc
import math

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.candidate import Candidate
from rdv.client.race import Chooser, contend, first, relay_penalty
from rdv.errors import NoConnection, ProtocolError
from rdv.test.client_doubles import ByteTransport
from rdv.wire import Role

HELLO = b"rdv/1 HELLO token\r\n"


class Oops(Exception):
    """A contender's reason to drop out."""


class FirstTests(SynchronousTestCase):
    """The first success among some."""

    def setUp(self) -> None:
        self.cancelled: list[str] = []

    def contender(self, name: str) -> Deferred[str]:
        """One that is still running."""
        return Deferred(lambda _: self.cancelled.append(name))

    def assert_no_complaints(self) -> None:
        """No Deferred was dropped with an error in it."""
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_nobody(self) -> None:
        self.failureResultOf(first([]), NoConnection)

    def test_success(self) -> None:
        a, b = self.contender("a"), self.contender("b")
        winner = first([a, b])
        self.assertNoResult(winner)
        b.callback("value")
        self.assertEqual(self.successResultOf(winner), "value")

    def test_losers_are_cancelled(self) -> None:
        a, b, c = map(self.contender, "abc")
        first([a, b, c])
        b.callback("value")
        self.assertEqual(self.cancelled, ["a", "c"])
        del a, c
        self.assert_no_complaints()

    def test_losers_are_cancelled_before_the_winner_is_told(self) -> None:
        a, b = self.contender("a"), self.contender("b")
        told: list[list[str]] = []
        first([a, b]).addCallback(lambda _: told.append(list(self.cancelled)))
        a.callback("value")
        self.assertEqual(told, [["b"]])

    def test_failures_do_not_decide(self) -> None:
        a, b, c = map(self.contender, "abc")
        winner = first([a, b, c])
        a.errback(Oops())
        c.errback(Oops())
        self.assertNoResult(winner)
        self.assertEqual(self.cancelled, [])
        b.callback("value")
        self.assertEqual(self.successResultOf(winner), "value")
        del a, c
        self.assert_no_complaints()

    def test_all_fail(self) -> None:
        a, b, c = map(self.contender, "abc")
        winner = first([a, b, c])
        c.errback(Oops("no route."))
        a.errback(Oops("refused"))
        self.assertNoResult(winner)
        b.errback(Oops("refused"))
        failure = self.failureResultOf(winner, NoConnection)
        self.assertEqual(str(failure.value), "refused; no route")
        del a, b, c
        self.assert_no_complaints()

    def test_reason_without_a_text(self) -> None:
        failure = self.failureResultOf(first([fail(Oops())]), NoConnection)
        self.assertEqual(str(failure.value), "Oops")

    def test_cancelled(self) -> None:
        a, b = self.contender("a"), self.contender("b")
        winner = first([a, b])
        winner.cancel()
        self.assertEqual(self.cancelled, ["a", "b"])
        self.failureResultOf(winner, CancelledError)
        del a, b
        self.assert_no_complaints()

    def test_cancelled_when_some_have_failed(self) -> None:
        a, b = self.contender("a"), self.contender("b")
        winner = first([a, b])
        a.errback(Oops())
        winner.cancel()
        self.assertEqual(self.cancelled, ["b"])
        self.failureResultOf(winner, CancelledError)

    def test_cancelled_while_a_contender_takes_its_time(self) -> None:
        cleaned_up: Deferred[None] = Deferred()

        async def slow() -> str:
            try:
                return await self.contender("slow")
            finally:
                await cleaned_up

        winner = first([Deferred.fromCoroutine(slow()), self.contender("a")])
        winner.cancel()
        self.failureResultOf(winner, CancelledError)
        self.assertEqual(self.cancelled, ["slow", "a"])
        cleaned_up.callback(None)
        self.assert_no_complaints()

    def test_cancelled_after_the_decision(self) -> None:
        winner = first([succeed("value"), self.contender("a")])
        winner.cancel()
        self.assertEqual(self.successResultOf(winner), "value")

    def test_already_succeeded(self) -> None:
        winner = first([self.contender("a"), succeed("value"), self.contender("b")])
        self.assertEqual(self.successResultOf(winner), "value")
        self.assertEqual(self.cancelled, ["a", "b"])

    def test_already_failed(self) -> None:
        winner = first([fail(Oops("one")), fail(Oops("two"))])
        failure = self.failureResultOf(winner, NoConnection)
        self.assertEqual(str(failure.value), "one; two")
        self.assert_no_complaints()

    def test_already_failed_and_succeeded(self) -> None:
        winner = first([fail(Oops()), succeed("value")])
        self.assertEqual(self.successResultOf(winner), "value")
        self.assert_no_complaints()

    def test_two_have_already_succeeded(self) -> None:
        self.assertEqual(self.successResultOf(first([succeed("a"), succeed("b")])), "a")

    def test_two_succeed_in_one_turn(self) -> None:
        a: Deferred[str] = Deferred()
        b: Deferred[str] = Deferred()
        winner = first([a, b])
        b.callback("b")
        a.callback("a")
        self.assertEqual(self.successResultOf(winner), "b")

    def test_loser_that_succeeds_when_cancelled(self) -> None:
        stubborn: Deferred[str] = Deferred(lambda it: it.callback("too late"))
        winner = first([stubborn, succeed("value")])
        self.assertEqual(self.successResultOf(winner), "value")


class ContendTests(SynchronousTestCase):
    """A candidate's way to readiness."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.candidate = Candidate(self.clock, Role.DIALER, b"token", is_relay=True)
        self.transport = ByteTransport(self.candidate)
        self.transport.connect()
        self.asked: list[Candidate] = []

    def contend(self, seconds: float) -> Deferred[Candidate]:
        """Let the candidate contend under a chooser that gives it ``seconds``."""

        def chooser(candidate: Candidate) -> float:
            self.asked.append(candidate)
            return seconds

        return Deferred.fromCoroutine(contend(self.candidate, chooser))

    def test_at_once(self) -> None:
        contending = self.contend(0)
        self.assertNoResult(contending)
        self.transport.deliver(HELLO)
        self.assertIs(self.successResultOf(contending), self.candidate)

    def test_chooser_is_asked_when_it_is_ready(self) -> None:
        self.contend(1).addErrback(lambda _: None)
        self.assertEqual(self.asked, [])
        self.transport.deliver(HELLO)
        self.assertEqual(self.asked, [self.candidate])

    def test_patience(self) -> None:
        contending = self.contend(3)
        self.transport.deliver(HELLO)
        self.clock.advance(2.9)
        self.assertNoResult(contending)
        self.clock.advance(0.1)
        self.assertIs(self.successResultOf(contending), self.candidate)

    def test_time_runs_from_the_line(self) -> None:
        contending = self.contend(3)
        self.clock.advance(100)
        self.transport.deliver(HELLO)
        self.assertNoResult(contending)

    def test_never(self) -> None:
        contending = self.contend(math.inf)
        self.transport.deliver(HELLO)
        self.clock.advance(1e6)
        self.assertNoResult(contending)

    def test_wrong_line(self) -> None:
        contending = self.contend(0)
        self.transport.deliver(b"?")
        self.failureResultOf(contending, ProtocolError)

    def test_lost_in_patience(self) -> None:
        contending = self.contend(3)
        self.transport.deliver(HELLO)
        self.transport.lose(ConnectionLost())
        self.failureResultOf(contending, ConnectionLost)

    def test_cancelled_before_and_in_patience(self) -> None:
        for line in (b"", HELLO):
            self.setUp()
            contending = self.contend(3)
            self.transport.deliver(line)
            contending.cancel()
            self.failureResultOf(contending, CancelledError)
            self.assertEqual(self.transport.closing, "close")
            self.assertEqual(self.clock.getDelayedCalls(), [])


class RelayPenaltyTests(SynchronousTestCase):
    """The default rule."""

    def patience(self, chooser: Chooser, *, is_relay: bool) -> float:
        """What the rule gives."""
        return chooser(Candidate(Clock(), Role.DIALER, b"token", is_relay=is_relay))

    def test_direct(self) -> None:
        self.assertEqual(self.patience(relay_penalty(2.5), is_relay=False), 0)

    def test_relay(self) -> None:
        self.assertEqual(self.patience(relay_penalty(2.5), is_relay=True), 2.5)
