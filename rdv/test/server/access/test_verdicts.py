"""
The verdicts of an auth URL, which are kept for a while.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.access import verdicts
from rdv.server.access.verdicts import Verdict, Verdicts

YES, NO = Verdict(0, "alice"), Verdict(403)


class VerdictsTests(SynchronousTestCase):
    """Those that are kept."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.kept = Verdicts(self.clock.seconds, 60)

    def test_for_a_while(self) -> None:
        """A no for less of it."""
        self.kept.keep(b"yes", YES)
        self.kept.keep(b"no", NO)
        self.assertEqual([self.kept.find(key) for key in (b"yes", b"no", b"?")], [YES, NO, None])
        self.clock.advance(10)
        self.assertEqual([self.kept.find(key) for key in (b"yes", b"no")], [YES, None])
        self.clock.advance(50)
        self.assertIsNone(self.kept.find(b"yes"))
        self.assertEqual(len(self.kept), 0)

    def test_shorter(self) -> None:
        """Then a no, too."""
        kept = Verdicts(self.clock.seconds, 5)
        kept.keep(b"no", NO)
        self.clock.advance(5)
        self.assertIsNone(kept.find(b"no"))

    def test_newest(self) -> None:
        """The last word counts, from then on."""
        self.kept.keep(b"x", YES)
        self.clock.advance(50)
        self.kept.keep(b"x", NO)
        self.assertEqual(self.kept.find(b"x"), NO)
        self.assertEqual(len(self.kept), 1)

    def test_not_at_all(self) -> None:
        kept = Verdicts(self.clock.seconds, 0)
        kept.keep(b"x", YES)
        self.assertIsNone(kept.find(b"x"))
        self.assertEqual(len(kept), 0)

    def test_bounded(self) -> None:
        """The oldest goes."""
        self.patch(verdicts, "_MOST", 3)
        for key in (b"a", b"b", b"a", b"c", b"d"):
            self.kept.keep(key, YES)
        self.assertEqual([self.kept.find(key) for key in (b"a", b"b", b"c")], [YES, None, YES])
        self.assertEqual(len(self.kept), 3)
