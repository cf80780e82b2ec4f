"""
The ``serve`` hook: watching, allowing and refusing pairs, immediately or after a while.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import deferLater

from rdv.server import Outcome, Pair
from rdv.test.server.doubles import Guest, ServerTestCase

REFUSED = (403, "not today")
FAILED = (500, "the server could not decide about this pair")


class ServeTests(ServerTestCase):
    """A hook that decides immediately."""

    def assert_both_refused(self, status: int, reason: str) -> None:
        """Let a pair come: both get that."""
        dialer, acceptor = self.dial(), self.accept()
        self.assert_refused(dialer, status, reason)
        self.assert_refused(acceptor, status, reason)
        self.close_all(dialer, acceptor)
        self.assert_over(failed=1)

    def test_asked_once_before_the_clients_are_told(self) -> None:
        def serve(pair: Pair) -> None:
            asked.append((pair.token, guests[0].received))

        asked: list[tuple[bytes, bytes]] = []
        self.open(serve=serve)
        guests = [self.dial()]
        self.assertEqual(asked, [])
        guests.append(self.accept())
        self.assertEqual(asked, [(b"token", b"")])
        self.assertEqual([guest.status for guest in guests], [101, 101])

    def test_result_is_ignored(self) -> None:
        for result in (None, False, 0, "no", succeed(None), succeed(False)):
            self.open(serve=lambda pair, result=result: result)
            self.assertEqual((self.dial().status, self.accept().status), (None, 101))

    def test_reject(self) -> None:
        """At once, and in a coroutine."""

        async def serve(pair: Pair) -> None:
            await succeed(None)
            pair.reject(*REFUSED)

        for hook in (lambda pair: pair.reject(*REFUSED), serve):
            self.open(serve=hook)
            self.assert_both_refused(*REFUSED)

    def test_other_awaitable(self) -> None:
        """A policy is waited for whatever kind of awaitable it is."""

        class Policy:
            def __init__(self, pair: Pair) -> None:
                self.pair = pair

            def __await__(self) -> Generator[Any, Any, None]:
                yield from deferLater(clock, 1).__await__()
                self.pair.reject(*REFUSED)

        clock = self.clock
        self.open(serve=Policy)
        dialer, acceptor = self.dial(), self.accept()
        self.clock.advance(1)
        self.settle()
        self.assert_refused(dialer, *REFUSED)
        self.assert_refused(acceptor, *REFUSED)

    def test_reject_needs_the_status_of_a_refusal(self) -> None:
        def serve(pair: Pair) -> None:
            for status in (0, 101, 200, 302, 399, 600):
                self.assertRaises(ValueError, pair.reject, status, "why")
            for status in (400, 599):
                pair.reject(status, "why")

        self.open(serve=serve)
        self.assert_both_refused(599, "why")

    def set(self, name: str, value: object, pair: Pair) -> None:
        """A hook."""
        setattr(pair, name, value)

    def test_sets_what_cannot_be(self) -> None:
        """It has failed, and nobody waits for a pair that cannot be joined."""
        for name, value in (
            ("rate_limit", "fast"),
            ("rate_limit", -1),
            ("quota", -1),
            ("idle_timeout", None),
            ("idle_timeout", float("nan")),
            ("tap_dialer", 1),
            ("tap_acceptor", "x"),
        ):
            self.open(serve=partial(self.set, name, value))
            self.assert_both_refused(*FAILED)
            (error,) = self.flushLoggedErrors(TypeError, ValueError)
            self.assertTrue(error.getErrorMessage().startswith(f"{name}: "), error)

    def test_fails(self) -> None:
        """At once, in a coroutine, or later."""

        def serve(pair: Pair) -> None:
            raise ZeroDivisionError

        async def serve_later(pair: Pair) -> None:
            await succeed(None)
            raise ZeroDivisionError

        for hook in (serve, serve_later, lambda pair: fail(ZeroDivisionError())):
            self.open(serve=hook)
            self.assert_both_refused(*FAILED)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failure_does_not_outlive_the_pair(self) -> None:
        """The next pair is asked about anew."""
        results = [fail(ZeroDivisionError()), None]
        self.open(serve=lambda pair: results.pop(0))
        self.assertEqual((self.dial().status, self.accept().status), (None, 500))
        self.assertEqual((self.dial().status, self.accept().status), (None, 101))
        self.flushLoggedErrors(ZeroDivisionError)

    def test_when_ended_of_a_refused_pair(self) -> None:
        """A hook that counts pairs must hear of the end of every one."""
        ended: list[Pair] = []

        def serve(pair: Pair) -> None:
            pair.when_ended().addCallback(ended.append)
            pair.reject(*REFUSED)

        self.open(serve=serve)
        self.close_all(self.dial(), self.accept())
        self.assertEqual([pair.outcome for pair in ended], [Outcome.FAILED])


class ThinkingTests(ServerTestCase):
    """A hook that takes its time."""

    def setUp(self) -> None:
        super().setUp()
        self.thoughts: list[Deferred[None]] = []
        self.open(serve=self.serve)

    def serve(self, pair: Pair) -> Deferred[None]:
        """Decide when the test says so."""
        self.thoughts.append(Deferred())
        return self.thoughts[-1]

    def thinking(self) -> tuple[Guest, Guest]:
        """A dialer and an acceptor about whom it is still thinking: nobody knows anything."""
        dialer, acceptor = self.dial(), self.accept()
        self.assertEqual((dialer.received, acceptor.received), (b"", b""))
        self.assertEqual((self.rendezvous.waiting, self.rendezvous.pairs), (0, 0))
        return dialer, acceptor

    def decide(self, number: int = 0) -> None:
        """Let it come to an end."""
        self.thoughts[number].callback(None)
        self.settle()

    def assert_cancelled(self) -> None:
        """What the hook was waiting for was cancelled, and no error of that was logged."""
        self.assertTrue(self.thoughts[0].called)
        self.assertEqual(self.flushLoggedErrors(), [])

    def assert_waits_and_meets(self, partner: Guest) -> None:
        """It waits, and meets the next who comes."""
        self.assert_waiting(partner)
        other = self.come(partner.leg.role.other)
        self.decide(1)
        self.assertEqual((partner.status, other.status), (101, 101))

    def test_one_leaves(self) -> None:
        """Or speaks; the other one waits again."""
        for how in ("loseConnection", "abortConnection", "write"):
            for who in (0, 1):
                self.setUp()
                guests = self.thinking()
                getattr(guests[who].here, how)(*[b"early"] * (how == "write"))
                self.settle()
                if how == "write":
                    self.assert_refused(guests[who], 400, "bytes before the response")
                else:
                    self.assertEqual(guests[who].received, b"")
                    self.assertFalse(guests[who].at_server.connected)
                self.assert_cancelled()
                self.assert_waits_and_meets(guests[1 - who])

    def test_partner_waits_with_a_timeout(self) -> None:
        dialer, acceptor = self.thinking()
        self.close_all(acceptor)
        self.clock.advance(300)
        self.assert_refused(dialer, 408, "no matching peer found")

    def test_both_leave(self) -> None:
        self.close_all(*self.thinking())
        self.assert_over()

    def test_when_ended_of_a_pair_that_broke_off(self) -> None:
        """It has ended as a pair, though one of its clients goes on waiting."""
        ended: list[Pair] = []

        def serve(pair: Pair) -> Deferred[None]:
            pair.when_ended().addCallback(ended.append)
            return self.serve(pair)

        self.open(serve=serve)
        _, acceptor = self.thinking()
        self.close_all(acceptor)
        self.assertEqual(len(ended), 1)

    def test_coroutine_is_cancelled(self) -> None:
        """What it says after that does not count."""
        cancelled: list[Pair] = []

        async def serve(pair: Pair) -> None:
            try:
                await Deferred()
            except CancelledError:
                cancelled.append(pair)
                pair.reject(*REFUSED)

        self.open(serve=serve)
        dialer, acceptor = self.thinking()
        self.close_all(acceptor)
        self.assertEqual(len(cancelled), 1)
        self.assert_waiting(dialer)

    def test_others_with_the_same_token(self) -> None:
        """They wait, and are a pair of their own."""
        first = self.thinking()
        second = self.thinking()
        self.decide(1)
        self.assertEqual([guest.status for guest in (*first, *second)], [None, None, 101, 101])
        self.decide(0)
        self.assertEqual([guest.status for guest in first], [101, 101])

    def test_partner_meets_one_who_has_come_meanwhile(self) -> None:
        dialer, acceptor = self.thinking()
        newer = self.accept()
        self.assert_waiting(newer)
        self.close_all(acceptor)
        self.assertEqual(self.rendezvous.waiting, 0)
        self.decide(1)
        self.assertEqual((dialer.status, newer.status), (101, 101))

    def test_partner_is_older_than_one_who_has_come_meanwhile(self) -> None:
        """409 goes to the older of two with the same role: here, to the one that comes back."""
        older, acceptor = self.thinking()
        newer = self.dial()
        self.close_all(acceptor)
        self.assert_waiting(newer)
        self.assert_refused(older, 409, "replaced by another conn")
