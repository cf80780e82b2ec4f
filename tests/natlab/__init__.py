"""
A laboratory of networks: peers behind NATs and firewalls, a server, an internet with delay, jitter
and loss between them; and the results of their meetings.

::

    python -m benchmarks.natmatrix silent reset --distances 20 --runs 5

Everything is made of network namespaces, by ``ip`` and ``nft``; :data:`tests.natlab.TOPOLOGIES`
names what there is. The path of a meeting is what packet counters at the peers have seen, never
what a program says. Nothing is left when a lab is closed.

All calls block, so that a test does them in a thread, or in a process of their own::

    class MyTests(TestCase):
        skip = natlab.unavailable()

        async def test_it(self) -> None:
            results = await deferToThread(natlab.meet, "silent", Conditions.named("20"), runs=2)
            self.assertEqual([result.path for result in results], ["direct"] * 2)
            self.assertTrue(all(result.ok for result in results))

Several meetings in one lab are faster: programs take longer to start than labs. To change something
in between, use :class:`Meetings`; for other programs, :class:`Lab`.
"""

from tests.natlab.lab import Host, Lab
from tests.natlab.meeting import Meetings, meet, unavailable
from tests.natlab.model import Conditions, Expected
from tests.natlab.namespaces import LabError, Namespace
from tests.natlab.report import Report, Result
from tests.natlab.topologies import TOPOLOGIES

__all__ = [
    "TOPOLOGIES",
    "Conditions",
    "Expected",
    "Host",
    "Lab",
    "LabError",
    "Meetings",
    "Namespace",
    "Report",
    "Result",
    "meet",
    "unavailable",
]
