"""Idle timeout and rate limit of a relayed pair on real sockets, whichever way its bytes go."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from rdv.server import RelayLimits
from rdv.server.relay.outcome import EndReason
from rdv.test.doubles import besides_the_look
from rdv.test.server.hand_relay import HandRelay, HandTestCase


class TimeChecks:
    """
    What both ways have in common.

    :cvar copy: whether the kernel is kept from moving the bytes.
    """

    copy: bool

    def open(self: Any, **options: object) -> HandRelay:
        """A relay whose time only the test moves, and which has moved a byte each way."""
        relay: HandRelay = self.relay(copy=self.copy, **options)
        relay.join()
        for far in relay.fars:
            far.send(1)
            relay.deliver()
        return relay

    def close(self: Any) -> None:
        """Whatever still rests."""
        self.abort()
        HandTestCase.close(self)

    def setUp(self: Any) -> None:
        self.clock = Clock()
        HandTestCase.setUp(self)
        self.reactor.seconds = self.clock.seconds

    def wait(self: Any, relay: HandRelay, seconds: float) -> None:
        """Let time pass, and happen what happens."""
        self.clock.advance(seconds)
        relay.turns(20)

    def assert_copied(self: Any, relay: HandRelay) -> None:
        """All of the bytes were, or hardly any."""
        sent = relay.dialer.sent + relay.acceptor.sent
        copied = relay.dialer.leg.copied + relay.acceptor.leg.copied
        if self.copy:
            self.assertGreater(copied, sent)  # with the lines
        else:
            self.assertLess(copied, sent / 2)

    def test_silence(self: Any) -> None:
        relay = self.open(idle_timeout=60)
        self.wait(relay, 59)
        self.assertFalse(relay.dialer.broken or relay.acceptor.broken)
        self.wait(relay, 1)
        relay.until_they("broken", *relay.fars)
        self.assertEqual(relay.rendezvous.pairs, 0)

    def test_bytes_of_either(self: Any) -> None:
        """Each restarts the time."""
        relay = self.open(idle_timeout=60)
        for far in (*relay.fars, *reversed(relay.fars)):
            self.wait(relay, 59)
            far.send(1000)
            relay.deliver()
        self.wait(relay, 59)
        self.assertFalse(relay.dialer.broken or relay.acceptor.broken)
        self.assert_copied(relay)
        self.wait(relay, 1)
        relay.until_they("broken", *relay.fars)

    def test_one_direction_has_ended(self: Any) -> None:
        """The bytes of the other one count, and so does its silence."""
        for side in (0, 1):
            relay = self.open(idle_timeout=60)
            ended, other = relay.fars[side], relay.fars[1 - side]
            ended.end()
            relay.until_they("ended", other)
            for _ in range(3):
                self.wait(relay, 59)
                other.send(1000)
                relay.deliver()
            self.wait(relay, 60)
            relay.until_they("broken", ended)

    def test_end(self: Any) -> None:
        """The timer goes with the pair."""
        relay = self.open(idle_timeout=60)
        for far in relay.fars:
            far.end()
        relay.until_over()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_none(self: Any) -> None:
        relay = self.open(idle_timeout=0)
        self.wait(relay, 1e9)
        relay.dialer.send(1)
        relay.deliver()
        self.assertEqual(besides_the_look(self.reactor.getDelayedCalls()), [])

    def test_rate_limit(self: Any) -> None:
        """No more comes than time has passed for, but for a piece; and not much less."""
        relay = self.open(rate_limit=50_000)
        self.wait(relay, 10)
        relay.dialer.send(500_000)
        for step in range(1, 241):
            self.wait(relay, 0.05)
            relay.until(lambda: relay.acceptor.received == relay.pair.dialer_bytes)
            self.assertLess(relay.acceptor.received, 50_000 * (step * 0.05 + 0.1) + (1 << 16))
        self.assertEqual(relay.acceptor.received, relay.dialer.sent)

    def test_rate_limit_is_that_of_one_direction(self: Any) -> None:
        relay = self.open(rate_limit=50_000)
        self.wait(relay, 10)
        relay.dialer.send(500_000)
        relay.turns(20)
        relay.acceptor.send(1000)
        relay.until(lambda: relay.dialer.received == relay.acceptor.sent)
        self.assertLess(relay.pair.dialer_bytes, 1 << 17)

    def test_rates_of_all(self: Any) -> None:
        """That of one direction, and that of both together."""
        relay = self.open(limits=RelayLimits(rate=60_000, total_rate=100_000))
        self.wait(relay, 10)
        for far in relay.fars:
            far.send(1_000_000)
        for _ in range(200):
            self.wait(relay, 0.025)
        counts = relay.pair.dialer_bytes, relay.pair.acceptor_bytes
        self.assertLess(sum(counts), 510_000 + 4 * (1 << 16))
        self.assertGreater(min(counts), 200_000)

    def test_quota(self: Any) -> None:
        """All of it may come, in either direction, and the stream ends well."""
        relay = self.open(limits=RelayLimits(quota=100_002))
        for far in relay.fars:
            far.send(50_000)
        relay.deliver()
        for far in relay.fars:
            far.end()
        relay.until_over()
        self.assertEqual([far.received for far in relay.fars], [50_001] * 2)
        self.assertNotEqual(relay.pair.end_reason, EndReason.QUOTA)

    def test_more_than_the_quota(self: Any) -> None:
        """Both are cut, and nothing is left."""
        relay = self.open(quota=100_002)
        for far in relay.fars:
            far.send(50_000)
        relay.deliver()
        relay.turns(20)
        self.assertFalse(relay.dialer.broken or relay.acceptor.broken)
        relay.acceptor.send(1)
        relay.until_they("broken", *relay.fars)
        relay.until_over()
        self.assertEqual(relay.pair.end_reason, EndReason.QUOTA)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_far_more_than_the_quota(self: Any) -> None:
        """Not much of it has passed."""
        relay = self.open(quota=100_002)
        relay.dialer.send(3_000_000)
        relay.until_they("broken", *relay.fars)
        relay.until_over()
        self.assertEqual(relay.pair.end_reason, EndReason.QUOTA)
        passed = relay.pair.dialer_bytes + relay.pair.acceptor_bytes
        self.assertTrue(100_002 < passed < 100_002 + (1 << 17), passed)

    def test_break_while_it_rests(self: Any) -> None:
        """Both are told; nothing is left of the pause."""
        for side in (0, 1):
            relay = self.open(rate_limit=1000)
            relay.dialer.send(100_000)
            relay.turns(20)
            broken, other = relay.fars[side], relay.fars[1 - side]
            broken.reset()
            while not other.broken:  # a reactor does not notice it on a paused connection
                self.assertLess(self.clock.seconds(), 1000)
                self.wait(relay, 10)
            relay.until_over()
            self.assertEqual(self.reactor.getDelayedCalls(), [])


class SplicedTests(TimeChecks, HandTestCase):
    """The kernel moves the bytes."""

    copy = False


class CopiedTests(TimeChecks, HandTestCase):
    """It is kept from it."""

    copy = True
