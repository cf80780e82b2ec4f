"""
A lasting condition is logged from time to time.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.logs.complaint import Complaint


class ComplaintTests(SynchronousTestCase):
    def test_once_a_minute(self) -> None:
        """The first is said at once, and then the first after a minute, with what is news then."""
        clock, said = Clock(), list[int]()
        complaint = Complaint(clock, said.append)
        for second in range(125):
            complaint.tell(second)
            clock.advance(1)
        self.assertEqual(said, [0, 60, 120])
