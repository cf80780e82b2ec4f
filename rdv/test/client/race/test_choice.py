"""
Which candidate wins.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv._secure.exchange import SecureAttempt
from rdv._secure.path import Signal
from rdv.client.candidates import candidate as candidate_module
from rdv.client.candidates.candidate import Candidate
from rdv.client.race.choice import Choice, first, relay_penalty
from rdv.errors import NoConnection
from rdv.test.client.doubles import ByteTransport
from rdv.test.client.race.doubles import FakeStream
from rdv.test.doubles import Recorder, collect_garbage, connect, present
from rdv.wire import Role


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

    def test_goes_on(self) -> None:
        """A winner may let the others go on; whatever becomes of them is nobody's any more."""
        a, b, c = map(self.contender, "abc")
        winner = first([a, b, c], lambda value: value == "value")
        b.callback("value")
        self.assertEqual(self.successResultOf(winner), "value")
        self.assertEqual(self.cancelled, [])
        a.errback(Oops())
        c.callback("another")
        del a, c
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
    """One is chosen at a time; tests of the contest show which one is next."""

    def test_given_up(self) -> None:
        """It is closed; one that waits for its turn says nothing, be it lost or cancelled."""
        self.patch(Candidate, "answered", lambda each: False)
        for lost in (True, False):
            choice = Choice(DeferredLock())
            transports, choosing = [], []
            for _ in range(2):
                candidate = Candidate(Clock(), Role.DIALER, b"token")
                candidate.suspect = True
                transports.append(ByteTransport(candidate))
                transports[-1].connect()
                transports[-1].deliver(b"rdv/1 HELLO token\r\n")
                choosing.append(Deferred.fromCoroutine(choice.take(candidate)))
            if lost:
                transports[1].lose(ConnectionLost())
            else:
                choosing[1].cancel()
            choosing[0].cancel()
            self.failureResultOf(choosing[0], CancelledError)
            self.assertEqual(transports[0].closing, "abort")
            choice.move(FakeStream(), Role.DIALER, lambda candidate: None)
            self.failureResultOf(choosing[1], ConnectionLost if lost else CancelledError)
            self.assertEqual(transports[1].value(), b"")


class SuspectTests(SynchronousTestCase):
    """A candidate of which a NAT may drop one direction, on a secured path."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.acknowledged: int | None = 0
        self.patch(candidate_module, "bytes_acknowledged", lambda transport: self.acknowledged)
        acceptor, dialer = (
            SecureAttempt(role, Secret(bytes(16))) for role in (Role.ACCEPTOR, Role.DIALER)
        )
        self.peer = acceptor.exchange(is_relay=False)
        exchange = dialer.exchange(is_relay=False)
        self.candidate = Candidate(self.clock, Role.DIALER, b"", exchange=exchange)
        self.candidate.suspect = True
        self.wire = Recorder()
        self.at_wire, _ = connect(self.clock, self.wire, self.candidate)
        self.at_wire.write(self.peer.hello)
        self.clock.advance(0)
        self.choosing = Deferred.fromCoroutine(Choice(DeferredLock()).take(self.candidate))
        self.clock.advance(0)
        self.assertNoResult(self.choosing)

    def test_acknowledged(self) -> None:
        """That is enough; whether it is the peer shows READY, which may need more time."""
        self.acknowledged = len(self.wire.received)
        self.clock.advance(0.1)
        self.assertIs(self.successResultOf(self.choosing), self.candidate)

    def test_answered(self) -> None:
        """What comes behind CONFIRM is the stream, and shows that it has arrived."""
        self.peer.feed(self.wire.received)
        path = present(self.peer.path)
        self.at_wire.write(b"".join([*path.say(Signal.READY), *path.seal(bytes(60_000))]))
        self.clock.advance(0)
        self.assertIs(self.successResultOf(self.choosing), self.candidate)
        stream = Recorder()
        self.candidate.release(stream)
        self.clock.advance(0)
        self.assertEqual(stream.received, bytes(60_000))

    def test_silent(self) -> None:
        """It is none."""
        self.clock.advance(1.6)
        self.failureResultOf(self.choosing, ConnectionLost)


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
