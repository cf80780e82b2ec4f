"""When the peer sees our end."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.own_end import OwnEnd


class OwnEndTestCase(SynchronousTestCase):
    """
    The end of one stream.

    :ivar received: how many bytes have come from the peer.
    :ivar blocked: whether there is no room for more.
    :ivar passed: when our end was passed on.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.received = 0
        self.blocked = False
        self.passed: list[float] = []
        self.own_end = OwnEnd(
            self.clock,
            lambda: self.received,
            lambda: self.blocked,
            lambda: self.passed.append(self.clock.seconds()),
        )

    def advance(self, seconds: int) -> None:
        """Second by second."""
        self.clock.pump([1.0] * seconds)


class ReceiptTests(OwnEndTestCase):
    """Our end waits for the peer's."""

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_something_said(self) -> None:
        self.own_end.source_ended(empty=False, waits=True)
        self.assertEqual(self.passed, [0])
        self.own_end.receipt()
        self.assertEqual(self.passed, [0])

    def test_nothing_said(self) -> None:
        """It comes behind the peer's, when everything is written, and if that breaks, never."""
        for waits in (True, False):  # after its own end, the peer does not wait for ours
            self.setUp()
            self.own_end.source_ended(empty=True, waits=waits)
            self.advance(3)
            self.own_end.stop()
            self.own_end.stop()
            self.advance(1000)
            self.assertEqual(self.passed, [])
            self.own_end.receipt()
            self.assertEqual(self.passed, [1003])

    def test_everything_written_before(self) -> None:
        self.own_end.receipt()
        self.assertEqual(self.passed, [])
        self.own_end.source_ended(empty=True, waits=False)
        self.assertEqual(self.passed, [0])


class SilenceTests(OwnEndTestCase):
    """A silent peer may be waiting for it."""

    def setUp(self) -> None:
        super().setUp()
        self.own_end.source_ended(empty=True, waits=True)

    def test_nothing_comes(self) -> None:
        """As from one that has nothing to say either. The end is passed on once."""
        self.advance(1000)
        self.own_end.receipt()
        self.assertEqual(self.passed, [10])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_something_comes(self) -> None:
        """As from one that is slow: each byte begins the time anew, which is longer now."""
        for self.received in range(1, 10):
            self.advance(59)
        self.assertEqual(self.passed, [])
        last = self.clock.seconds() - 59
        self.advance(1000)
        (passed,) = self.passed
        self.assertGreaterEqual(passed - last, 60)
        self.assertLessEqual(passed - last, 90)

    def test_no_room(self) -> None:
        """It is us who are slow."""
        self.received = 1
        self.advance(8)
        self.blocked = True
        self.advance(1000)
        self.assertEqual(self.passed, [])
        self.blocked = False
        self.advance(100)
        self.assertEqual(len(self.passed), 1)

    def test_first_byte_late(self) -> None:
        """What has come while the process was stopped is read before it counts as silent."""
        for stopped in (False, True):
            self.setUp()
            if stopped:
                self.clock.advance(500)
            else:
                self.advance(9)
            self.received = 1
            self.advance(60)
            self.assertEqual(self.passed, [])
