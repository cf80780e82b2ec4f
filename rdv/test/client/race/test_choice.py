"""
Who wins.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.candidate import Candidate
from rdv.client.race.choice import choose, first, relay_penalty
from rdv.errors import NoConnection
from rdv.test.client.doubles import ByteTransport
from rdv.test.doubles import collect_garbage
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
        collect_garbage()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_success(self) -> None:
        """The losers are cancelled, and before the winner is told."""
        a, b, c = map(self.contender, "abc")
        winner = first([a, b, c])
        self.assertNoResult(winner)
        told: list[object] = []
        winner.addCallback(lambda value: told.extend([value, *self.cancelled]))
        b.callback("value")
        self.assertEqual(told, ["value", "a", "c"])
        winner.cancel()
        del a, c
        self.assert_no_complaints()

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
        """Or there is none at all."""
        self.failureResultOf(first([]), NoConnection)
        self.failureResultOf(first([fail(Oops()), fail(Oops())]), NoConnection)
        a, b, c = map(self.contender, "abc")
        winner = first([a, b, c])
        c.errback(Oops())
        a.errback(Oops())
        self.assertNoResult(winner)
        b.errback(Oops())
        self.failureResultOf(winner, NoConnection)
        del a, b, c
        self.assert_no_complaints()

    def test_cancelled(self) -> None:
        """Also when some have failed."""
        for failed in (False, True):
            self.setUp()
            a, b = self.contender("a"), self.contender("b")
            winner = first([a, b])
            if failed:
                a.errback(Oops())
            winner.cancel()
            self.assertEqual(self.cancelled, ["b"] if failed else ["a", "b"])
            self.failureResultOf(winner, CancelledError)
            del a, b
            self.assert_no_complaints()

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

    def test_already_over(self) -> None:
        for contenders in (
            [self.contender("a"), succeed("value"), self.contender("b")],
            [fail(Oops()), succeed("value")],
            [succeed("value"), succeed("another")],
        ):
            self.assertEqual(self.successResultOf(first(contenders)), "value")
        self.assertEqual(self.cancelled, ["a", "b"])
        self.assert_no_complaints()

    def test_loser_that_succeeds(self) -> None:
        """Just then, or when it is cancelled."""
        a: Deferred[str] = Deferred()
        b: Deferred[str] = Deferred()
        stubborn: Deferred[str] = Deferred(lambda it: it.callback("too late"))
        winner = first([a, b, stubborn])
        b.callback("b")
        a.callback("a")
        self.assertEqual(self.successResultOf(winner), "b")


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

    def test_gives_up_while_it_waits_for_its_turn(self) -> None:
        """As it is lost, or cancelled."""
        for lost in (True, False):
            doubtful, doubtful_transport = self.suspect()
            self.choose(doubtful).addErrback(lambda _: None)
            other, transport = self.ready()
            waiting = self.choose(other)
            if lost:
                transport.lose(ConnectionLost())
            else:
                waiting.cancel()
            doubtful_transport.lose(ConnectionLost())
            self.failureResultOf(waiting, ConnectionLost if lost else CancelledError)
            self.assertEqual(transport.value(), b"")

    def test_one_that_is_given_up_is_closed(self) -> None:
        doubtful, transport = self.suspect()
        choosing = self.choose(doubtful)
        choosing.cancel()
        self.failureResultOf(choosing, CancelledError)
        self.assertEqual(transport.closing, "abort")


class RelayPenaltyTests(SynchronousTestCase):
    """The default rule."""

    def test_patience(self) -> None:
        """A path round through both peers' NAT leaves the LAN a moment, and not a second."""
        for is_relay, detour, least, most in (
            (False, False, 0, 0),
            (True, False, 2.5, 2.5),
            (False, True, 0.001, 0.1),
        ):
            candidate = Candidate(Clock(), Role.DIALER, b"token", is_relay=is_relay)
            candidate.detour = detour
            self.assertTrue(least <= relay_penalty(2.5)(candidate) <= most)
