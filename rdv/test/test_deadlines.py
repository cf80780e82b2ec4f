"""One timer for many deadlines."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._deadlines import Deadlines, Expiry


class DeadlinesTests(SynchronousTestCase):
    """Ten seconds each."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.expired: list[str] = []
        self.deadlines: Deadlines[str] = Deadlines(self.clock, 10, self.expired.append)

    def assert_idle(self) -> None:
        """Nobody is in, and no timer runs."""
        self.assertEqual(len(self.deadlines), 0)

    def tearDown(self) -> None:
        self.assert_idle()

    def test_each_at_its_time(self) -> None:
        self.deadlines.add("a")
        self.clock.advance(4)
        self.deadlines.add("b")
        self.clock.advance(5.75)
        self.assertEqual(self.expired, [])
        self.clock.advance(0.25)
        self.assertEqual(self.expired, ["a"])
        self.clock.advance(3.75)
        self.assertEqual((self.expired, len(self.deadlines)), (["a"], 1))
        self.clock.advance(0.25)
        self.assertEqual(self.expired, ["a", "b"])

    def test_one_timer(self) -> None:
        """However many are in; none when the last has gone, and one again for the next."""
        for number in range(100):
            self.deadlines.add(str(number))
            self.clock.advance(0.0625)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for number in range(100):
            self.deadlines.discard(str(number))
            self.deadlines.discard("never in")
        self.assert_idle()
        self.deadlines.add("a")
        self.deadlines.add("b")
        self.deadlines.discard("a")
        self.clock.advance(9.75)
        self.assertEqual(self.expired, [])
        self.clock.advance(0.25)
        self.assertEqual(self.expired, ["b"])

    def test_late(self) -> None:
        """Nobody has less time than none, however long the reactor was busy."""
        self.deadlines.add("a")
        self.assertEqual((self.deadlines.left("a"), self.deadlines.left("b")), (10, 10))
        self.clock.rightNow += 12
        self.assertEqual(self.deadlines.left("a"), 0)
        self.clock.advance(0)

    def test_zero_is_never(self) -> None:
        never: Deadlines[str] = Deadlines(self.clock, 0, self.expired.append)
        never.add("a")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        never.discard("a")
        self.clock.advance(1_000_000)
        self.assertEqual(self.expired, [])

    def test_other_timeout(self) -> None:
        """It counts from when each came, for those who are in as well."""
        self.deadlines.retime(8)
        self.deadlines.add("a")
        self.clock.advance(4)
        self.deadlines.add("b")
        self.deadlines.retime(5)
        self.deadlines.add("c")
        self.clock.advance(0.75)
        self.assertEqual(self.expired, [])
        self.clock.advance(0.25)
        self.assertEqual(self.expired, ["a"])
        self.deadlines.retime(2)  # they are late already
        self.clock.advance(0.75)
        self.assertEqual(self.expired, ["a"])
        self.clock.advance(0.25)
        self.assertEqual(self.expired, ["a", "b", "c"])

    def test_no_timeout_and_one_again(self) -> None:
        self.deadlines.add("a")
        self.clock.advance(1)
        self.deadlines.retime(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.deadlines.add("b")
        self.clock.advance(100)
        self.assertEqual(self.expired, [])
        self.deadlines.retime(101)
        self.clock.advance(0)
        self.assertEqual(self.expired, ["a"])
        self.clock.advance(1)
        self.assertEqual(self.expired, ["a", "b"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_timeout_while_it_expires(self) -> None:
        """It holds for the others that were due, too, and there is still only one timer."""

        def expired(member: str) -> None:
            self.expired.append(member)
            deadlines.retime(15)

        deadlines = Deadlines(self.clock, 10, expired)
        for member in "abc":
            deadlines.add(member)
        self.clock.advance(10)
        self.assertEqual(self.expired, ["a"])
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [15.0])
        self.clock.advance(5)
        self.assertEqual(self.expired, ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_again_starts_anew(self) -> None:
        """Adding one that is in restarts its time, and delays nobody else's."""
        self.deadlines.add("a")
        self.clock.advance(1)
        self.deadlines.add("b")
        self.clock.advance(8)
        self.deadlines.add("a")
        self.clock.advance(2)
        self.assertEqual(self.expired, ["b"])
        self.clock.advance(8)
        self.assertEqual(self.expired, ["b", "a"])

    def test_burst_in_batches(self) -> None:
        """Between two batches everything else gets its turn."""
        self.patch(Expiry, "batch", 3)
        for number in range(8):
            self.deadlines.add(str(number))
        turns: list[int] = []

        def other_work() -> None:
            turns.append(len(self.expired))
            if len(self.expired) < 8:
                self.clock.callLater(0, other_work)

        self.clock.callLater(10, other_work)
        self.clock.advance(10)
        self.assertEqual(self.expired, list("01234567"))
        self.assertEqual(turns, [3, 6, 8])

    def test_telling_takes_out_others(self) -> None:
        """Who is taken out by another one's end is not told, be it the last."""

        def expired(member: str) -> None:
            self.expired.append(member)
            deadlines.discard("b")
            deadlines.discard("d")

        deadlines: Deadlines[str] = Deadlines(self.clock, 10, expired)
        for member in "abcd":
            deadlines.add(member)
        self.clock.advance(20)
        self.assertEqual(self.expired, ["a", "c"])

    def test_telling_puts_in_anew(self) -> None:
        """As one that is told may come back at once: with its whole time before it."""

        def expired(member: str) -> None:
            self.expired.append(member)
            if len(self.expired) < 3:
                deadlines.discard("b")
                deadlines.add("b")

        deadlines: Deadlines[str] = Deadlines(self.clock, 10, expired)
        deadlines.add("a")
        deadlines.add("b")
        self.clock.advance(10)
        self.assertEqual(self.expired, ["a"])
        self.clock.advance(10)
        self.assertEqual(self.expired, ["a", "b"])
        self.clock.advance(10)
        self.assertEqual(self.expired, ["a", "b", "b"])

    def test_telling_fails(self) -> None:
        """That is the reactor's to report, and keeps nobody else from being told."""

        def expired(member: str) -> None:
            self.expired.append(member)
            if member == "bad":
                raise ZeroDivisionError

        deadlines: Deadlines[str] = Deadlines(self.clock, 10, expired)
        for member in ("a", "bad", "b"):
            deadlines.add(member)
        self.clock.advance(4)
        deadlines.add("later")
        self.assertRaises(ZeroDivisionError, self.clock.advance, 6)
        self.clock.advance(0)
        self.assertEqual(self.expired, ["a", "bad", "b"])
        self.clock.advance(4)
        self.assertEqual(self.expired.pop(), "later")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        deadlines.add("bad")
        self.assertRaises(ZeroDivisionError, self.clock.advance, 10)
        deadlines.add("new")
        self.clock.advance(10)
        self.assertEqual(self.expired.pop(), "new")
