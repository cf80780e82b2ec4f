"""
What is logged about limits that hit.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.limits.admission import Admission
from rdv.server.limits.numbers import NO_LIMITS, Limit, Limits
from rdv.server.logs.summary import Summary


class SummaryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.admission = Admission(self.clock, Limits())
        self.hits = self.admission.hits
        self.summary = Summary(self.clock, self.admission)

    def hit(self, limit: Limit, times: int, last: int) -> None:
        """Refuse one address so many times."""
        for _ in range(times):
            self.hits.add(limit, bytes((192, 0, 2, last)))

    def told(self, seconds: float) -> list[str]:
        """What is said meanwhile, each as a warning."""
        with capturedLogs() as events:
            self.clock.advance(seconds)
        self.assertEqual({each["log_level"].name for each in events} - {"warn"}, set())
        return [str(formatEvent(each)) for each in events]

    def test_once_a_minute(self) -> None:
        """Each limit, with those whom it has hit most often."""
        self.summary.start()
        self.assertEqual(self.told(60), [])
        for last in range(1, 6):
            self.hit(Limit.WAITING, last, last)
        self.hit(Limit.REQUESTS, 1000, 9)
        self.assertEqual(self.told(59.9), [])
        self.assertEqual(
            sorted(self.told(0.1)),
            [
                "requests: 1000 refused within a minute, most often: 192.0.2.9 (1000)",
                "waiting: 15 refused within a minute, most often: 192.0.2.5 (5), 192.0.2.4 (4), "
                "192.0.2.3 (3)",
            ],
        )
        self.assertEqual(self.told(600), [])

    def test_proxies(self) -> None:
        """Each that is found out, once."""
        self.summary.start()
        lease = self.admission.lease("10.0.0.7")
        for number in range(10):
            self.admission.named(lease, "10.0.0.7", f"192.168.{number}.1:80")
        (text,) = self.told(60)
        self.assertTrue(text.startswith("10.0.0.7 seems to be a proxy that "), text)
        self.assertEqual(self.told(600), [])

    def test_no_limits(self) -> None:
        self.summary = Summary(self.clock, Admission(self.clock, NO_LIMITS))
        self.summary.start()
        self.assertEqual(self.told(60), [])

    def test_stop(self) -> None:
        """What has not been said is; no timer is left."""
        self.summary.stop()
        self.summary.start()
        self.hit(Limit.PAIRS, 2, 7)
        with capturedLogs() as events:
            self.summary.stop()
        (event,) = events
        self.assertEqual((event["event"], event["limit"], event["refused"]), ("limit", "pairs", 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.told(60), [])
