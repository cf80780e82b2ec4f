"""A ``serve`` hook that never decides, one of another kind, and one that cannot be stopped."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from rdv.server import Outcome, Pair
from rdv.test.server.doubles import Guest, ServerTestCase

REFUSED = (403, "not today")
UNDECIDED = (500, "the server could not decide about this pair")
SHUTDOWN = (503, "shutting down, try again")


class AsyncioTests(ServerTestCase):
    """A policy that returns an ``asyncio.Future``, as libraries for asyncio do."""

    def setUp(self) -> None:
        super().setUp()
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.asked: list[Pair] = []
        self.open(serve=self.serve)
        self.guests = [self.dial(), self.accept()]

    def serve(self, pair: Pair) -> asyncio.Future[None]:
        """The hook."""
        self.asked.append(pair)
        return self.future

    def turn(self) -> None:
        """Let asyncio work off what is to be done."""
        self.loop.run_until_complete(asyncio.sleep(0))
        self.settle()

    def test_decides(self) -> None:
        """In the end, in whatever way."""
        for status in (101, 403, 500):
            self.setUp()
            self.assertEqual([guest.received for guest in self.guests], [b"", b""])
            if status == 403:
                self.asked[0].reject(*REFUSED)
            if status == 500:
                self.future.set_exception(ZeroDivisionError())
            else:
                self.future.set_result(None)
            self.turn()
            self.assertEqual([guest.status for guest in self.guests], [status] * 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled(self) -> None:
        self.close_all(self.guests[0])
        self.assertTrue(self.future.cancelled())
        self.assert_waiting(self.guests[1])


class EndlessTests(ServerTestCase):
    """
    It gets as long as the handshake.

    :ivar thoughts: what the hook waits for, one for each pair.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reopen()

    def reopen(self, **options: Any) -> None:
        """Begin anew, with these options."""
        self.thoughts: list[Deferred[None]] = []
        self.pairs: list[Pair] = []
        self.open(serve=self.serve, **options)

    def serve(self, pair: Pair) -> Deferred[None]:
        """The hook."""
        self.pairs.append(pair)
        self.thoughts.append(Deferred())
        return self.thoughts[-1]

    def come_both(self) -> tuple[Guest, Guest]:
        """A pair about which it thinks."""
        dialer, acceptor = self.dial(), self.accept()
        self.assertEqual((dialer.received, acceptor.received), (b"", b""))
        return dialer, acceptor

    def test_given_up(self) -> None:
        """Both are told, it is cancelled, the pair has ended, and no timer is left."""
        self.reopen(handshake_timeout=7)
        guests = self.come_both()
        ended = self.pairs[0].when_ended()
        self.clock.advance(6.5)
        self.assertEqual([guest.received for guest in guests], [b"", b""])
        self.clock.advance(0.5)
        self.settle()
        for guest in guests:
            self.assert_refused(guest, *UNDECIDED)
        self.assertTrue(self.thoughts[0].called)
        self.assertEqual(self.successResultOf(ended).outcome, Outcome.FAILED)
        self.close_all(*guests)
        self.assert_over(failed=1)

    def test_each_from_its_own_beginning(self) -> None:
        first = self.come_both()
        self.clock.advance(20)
        second = self.come_both()
        self.clock.advance(10)
        self.settle()
        self.assertEqual([guest.status for guest in (*first, *second)], [500, 500, None, None])
        self.clock.advance(20)
        self.settle()
        self.assertEqual([guest.status for guest in second], [500, 500])

    def test_in_time(self) -> None:
        """Its time does not run on: the handshake has its own."""
        guests = self.come_both()
        self.clock.advance(29)
        self.thoughts[0].callback(None)
        self.clock.advance(29)
        self.assertEqual([guest.status for guest in guests], [101, 101])
        self.assertTrue(all(guest.at_server.connected for guest in guests))
        self.close_all(*guests)
        self.assert_over(abandoned=1)

    def test_for_ever(self) -> None:
        """If the operator wants it so."""
        self.reopen(handshake_timeout=0)
        guests = self.come_both()
        self.clock.advance(1e6)
        self.assertEqual([guest.received for guest in guests], [b"", b""])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StubbornTests(ServerTestCase):
    """A hook that goes on though it was cancelled."""

    def setUp(self) -> None:
        super().setUp()
        self.late: Deferred[None] = Deferred()
        self.pairs: list[Pair] = []
        self.open(serve=self.serve)
        self.guests = [self.dial(), self.accept()]

    async def serve(self, pair: Pair) -> None:
        """The hook."""
        self.pairs.append(pair)
        try:
            await Deferred()
        except CancelledError:
            await self.late

    def assert_told_once(self, status: int, reason: str, **outcomes: int) -> None:
        """All that the clients get is that, whatever the hook does in the end."""
        for guest in self.guests:
            self.assert_refused(guest, status, reason)
        self.late.callback(None)
        self.settle()
        self.assertEqual([guest.received for guest in self.guests], [b"", b""])
        self.close_all(*self.guests)
        self.assert_over(**outcomes)

    def test_given_up(self) -> None:
        self.clock.advance(30)
        self.settle()
        self.assert_told_once(*UNDECIDED, failed=1)

    def test_one_leaves(self) -> None:
        """The other one waits, and nothing is left of the hook's time."""
        self.close_all(self.guests[0])
        self.clock.advance(31)
        self.assert_waiting(self.guests[1])

    def test_shutdown_after_given_up(self) -> None:
        """They have their answer already, and get no more time to take note of it."""
        self.clock.advance(30)
        self.clock.advance(3)
        self.rendezvous.close(drain=60)
        for guest in self.guests:
            self.assert_refused(guest, *UNDECIDED)
        self.clock.advance(2)
        self.settle()
        self.assertFalse(any(guest.at_server.connected for guest in self.guests))
        self.assert_over(failed=1)

    def test_shutdown(self) -> None:
        """They are told of that; it may finish later."""
        done = self.rendezvous.close(drain=5)
        self.settle()
        self.assert_told_once(*SHUTDOWN)
        self.successResultOf(done)
