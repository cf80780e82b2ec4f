"""
Who wins.
"""

from __future__ import annotations

import gc

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.candidate import Candidate
from rdv.client.race.choice import Chooser, choose, first, relay_penalty
from rdv.errors import NoConnection
from rdv.test.client.doubles import ByteTransport
from rdv.wire import Role

HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"


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


class ChooseTests(SynchronousTestCase):
    """One is chosen at a time."""

    def setUp(self) -> None:
        self.choice = DeferredLock()

    def ready(self) -> tuple[Candidate, ByteTransport]:
        """A candidate that has heard HELLO."""
        candidate = Candidate(Clock(), Role.DIALER, b"token")
        transport = ByteTransport(candidate)
        transport.connect()
        transport.deliver(HELLO)
        return candidate, transport

    def choose(self, candidate: Candidate) -> Deferred[Candidate]:
        """Let it be chosen when its turn comes."""
        return Deferred.fromCoroutine(choose(candidate, self.choice))

    def suspect(self) -> tuple[Candidate, ByteTransport]:
        """One whose CONFIRM is never acknowledged."""
        candidate, transport = self.ready()
        candidate.suspect = True
        self.patch(Candidate, "confirmed", lambda each: not each.suspect)
        return candidate, transport

    def test_one(self) -> None:
        candidate, transport = self.ready()
        self.assertIs(self.successResultOf(self.choose(candidate)), candidate)
        self.assertEqual((transport.value(), transport.closing), (CONFIRM, ""))

    def test_no_other_after_it(self) -> None:
        self.choose(self.ready()[0])
        other, transport = self.ready()
        self.assertNoResult(self.choose(other))
        self.assertEqual((transport.value(), transport.closing), (b"", ""))

    def test_next_when_it_was_none_after_all(self) -> None:
        first_one, gone = self.ready()
        gone.lose(ConnectionLost())
        self.failureResultOf(self.choose(first_one), ConnectionLost)
        other, transport = self.ready()
        self.assertIs(self.successResultOf(self.choose(other)), other)
        self.assertEqual(transport.value(), CONFIRM)

    def test_next_waits_while_one_is_being_chosen(self) -> None:
        doubtful, doubtful_transport = self.suspect()
        choosing = self.choose(doubtful)
        other, transport = self.ready()
        waiting = self.choose(other)
        self.assertNoResult(choosing)
        self.assertEqual((doubtful_transport.value(), transport.value()), (CONFIRM, b""))
        doubtful_transport.lose(ConnectionLost())
        self.failureResultOf(choosing, ConnectionLost)
        self.assertIs(self.successResultOf(waiting), other)
        self.assertEqual(transport.value(), CONFIRM)

    def test_lost_while_it_waits_for_its_turn(self) -> None:
        doubtful, doubtful_transport = self.suspect()
        self.choose(doubtful).addErrback(lambda _: None)
        other, transport = self.ready()
        waiting = self.choose(other)
        transport.lose(ConnectionLost())
        doubtful_transport.lose(ConnectionLost())
        self.failureResultOf(waiting, ConnectionLost)
        self.assertEqual(transport.value(), b"")

    def test_cancelled_while_it_waits_for_its_turn(self) -> None:
        doubtful, doubtful_transport = self.suspect()
        self.choose(doubtful).addErrback(lambda _: None)
        other, transport = self.ready()
        waiting = self.choose(other)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        doubtful_transport.lose(ConnectionLost())
        self.assertEqual((transport.value(), transport.closing), (b"", ""))

    def test_one_that_is_given_up_is_closed(self) -> None:
        doubtful, transport = self.suspect()
        choosing = self.choose(doubtful)
        choosing.cancel()
        self.failureResultOf(choosing, CancelledError)
        self.assertEqual(transport.closing, "abort")


class RelayPenaltyTests(SynchronousTestCase):
    """The default rule."""

    def patience(self, chooser: Chooser, *, is_relay: bool) -> float:
        """What the rule gives."""
        return chooser(Candidate(Clock(), Role.DIALER, b"token", is_relay=is_relay))

    def test_direct(self) -> None:
        self.assertEqual(self.patience(relay_penalty(2.5), is_relay=False), 0)

    def test_relay(self) -> None:
        self.assertEqual(self.patience(relay_penalty(2.5), is_relay=True), 2.5)

    def test_way_round_both_peers_nat(self) -> None:
        """It leaves the LAN a moment, and not a second."""
        candidate = Candidate(Clock(), Role.DIALER, b"token")
        candidate.detour = True
        patience = relay_penalty(2.5)(candidate)
        self.assertGreater(patience, 0)
        self.assertLess(patience, 0.1)
