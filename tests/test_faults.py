"""
Any program is killed, stopped or told to end, at any moment, on any path: none of the others takes
a part for the whole, and none waits forever.
"""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.engine import play_all
from tests.faults.rows import LEFT_OUT, cases, combinations
from tests.faults.table import Expected, Fault, Moment, Path, Victim
from tests.faults.verdict import End, Told, judge, judge_told
from tests.servers import SystemTestCase

ALL, PART = b"all of it", b"all"


def ends(*, sender: bool, receiver: bool, got: bytes) -> list[End]:
    """Who says that it went well, and what arrived."""
    return [
        End("the sender", sender, b"", b"", vouches=True),
        End("the receiver", receiver, got, ALL),
    ]


class VerdictTests(SynchronousTestCase):
    """Which results are wrong, and which are not."""

    def test_nothing_wrong(self) -> None:
        for expected, found in (
            (Expected.WHOLE, ends(sender=True, receiver=True, got=ALL)),
            (Expected.EITHER, ends(sender=True, receiver=True, got=ALL)),
            (Expected.EITHER, ends(sender=False, receiver=True, got=ALL)),
            (Expected.EITHER, ends(sender=False, receiver=False, got=PART)),
            (Expected.BROKEN, ends(sender=False, receiver=False, got=PART)),
            (Expected.BROKEN, ends(sender=False, receiver=False, got=ALL)),
        ):
            self.assertEqual(judge(expected, found), [])

    def test_part_for_the_whole(self) -> None:
        """The worst that a receiver can say."""
        (said,) = judge(Expected.EITHER, ends(sender=False, receiver=True, got=PART))
        self.assertEqual(
            said, "a part is taken for the whole: the receiver ended well with 3 of 9 bytes"
        )

    def test_no_receipt(self) -> None:
        """And a sender."""
        (said,) = judge(Expected.EITHER, ends(sender=True, receiver=False, got=PART))
        self.assertRegex(said, "^no receipt, but: the sender ended well .* broke with 3 of 9 bytes")

    def test_other_bytes(self) -> None:
        """They are not what was sent, or more than that."""
        for got in (b"xyz", ALL + b"!"):
            (said,) = judge(Expected.BROKEN, ends(sender=False, receiver=False, got=got))
            self.assertEqual(said, "what the receiver got is not what was sent")

    def test_not_as_expected(self) -> None:
        """Honest, but not what should have become of it."""
        said = judge(Expected.WHOLE, ends(sender=True, receiver=False, got=ALL))
        self.assertRegex(said[0], "^it should have gone well: the receiver broke")
        said = judge(Expected.BROKEN, ends(sender=True, receiver=False, got=ALL))
        self.assertRegex(said[0], "^it should have broken: the sender ended well")

    def test_status(self) -> None:
        """One that ends badly does so in a way that is documented."""
        end = End("the receiver (status 2)", False, PART, ALL, as_documented=False)
        (said,) = judge(Expected.EITHER, [end])
        self.assertRegex(said, r"^not the status for that: the receiver \(status 2\) broke")

    def test_told(self) -> None:
        end = b'{"event": "end", "status": 3}\n'
        self.assertEqual(judge_told(Told("x", 3, b"rdv: broken\n")), [])
        self.assertEqual(judge_told(Told("x", 3, end, is_json=True, tells_end=True)), [])
        self.assertEqual(judge_told(Told("x", 143, end, is_json=True)), [])
        for told in (
            Told("x", 3, b"Traceback (most recent call last):\n"),
            Told("x", 3, b"rdv: broken\n", is_json=True),
            Told("x", 0, end, is_json=True, tells_end=True),
            Told("x", 0, b"", is_json=True, tells_end=True),
        ):
            self.assertEqual(len(judge_told(told)), 1)


class TableTests(SynchronousTestCase):
    def test_what_everybody_has(self) -> None:
        """The common faults befall each victim at each moment, on each way."""
        moments = {*Moment} - {Moment.FLIGHT}
        paths = (Path.DIRECT, Path.RELAY)
        common = set(product((Fault.KILL, Fault.STOP, Fault.TERM), moments, paths))
        for victim in Victim:
            found = {(row.fault, row.moment, row.path) for row in cases(victim)}
            missing = common - found
            if victim is Victim.WORKER:
                missing = {row for row in missing if row[2] is Path.RELAY}
            self.assertEqual(missing, set())

    def test_reasons_are_needed(self) -> None:
        """Each leaves out something that no other one does."""
        for reason, is_left_out in LEFT_OUT:
            others = [other for _, other in LEFT_OUT if other is not is_left_out]
            alone = [
                case
                for case in combinations()
                if is_left_out(case) and not any(other(case) for other in others)
            ]
            self.assertTrue(alone, reason)


class FaultTests(SystemTestCase):
    """The table of :mod:`tests.faults.table`, a victim at a time."""

    timeout = 600  # each case has its own
    forked = True

    async def check(self, victim: Victim) -> None:
        await play_all(self, cases(victim))

    async def test_dialer(self) -> None:
        await self.check(Victim.DIALER)

    async def test_acceptor(self) -> None:
        await self.check(Victim.ACCEPTOR)

    async def test_server(self) -> None:
        await self.check(Victim.SERVER)

    async def test_worker(self) -> None:
        """The one of two that has the pair."""
        await self.check(Victim.WORKER)

    async def test_expose(self) -> None:
        await self.check(Victim.EXPOSE)

    async def test_connect(self) -> None:
        await self.check(Victim.CONNECT)
