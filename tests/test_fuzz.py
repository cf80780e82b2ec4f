"""
``benchmarks/fuzz.py``: that it finds faults, and that the parsers survive a second of it.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.fuzz import NAMES, TARGETS, target_of
from benchmarks.fuzzing.engine import Report, Target, cut, plain
from tests.processes import PYTHON, Program
from tests.servers import SystemTestCase

#: Seconds for each target.
_EACH = 0.5


def _fails(data: bytes) -> None:
    if b"bad" in data:
        raise ZeroDivisionError("found")
    if b"worse" in data:
        raise KeyError("as well")


class EngineTests(SynchronousTestCase):
    """Generating inputs, and reducing them."""

    def test_shrunk(self) -> None:
        """Nothing can be left out of what is found; each place is found once."""
        report = Report(Target(_fails, []))
        for data in (b"so bad it is", b"a worse one", b"good", b"bad again"):
            report.take(data)
        self.assertEqual(report.inputs, 4)
        self.assertEqual([each.data for each in report.findings.values()], [b"bad", b"worse"])
        self.assertEqual([each.text for each in report.findings.values()], ["found", "'as well'"])

    def test_found_by_chance(self) -> None:
        """From a seed and a word."""
        target = Target(_fails, [b"good"], [b"bad"])
        report = plain(target, 1.0, random.Random(1))
        self.assertEqual([each.data for each in report.findings.values()], [b"bad"])

    def test_cut(self) -> None:
        """Nothing is lost."""
        for data, pieces in (
            (b"", []),
            (b"\0\0", []),
            (b"\0\0abc", [b"abc"]),
            (b"\1\0abc", [b"a", b"bc"]),
            (b"\2\1abcde", [b"ab", b"c", b"d", b"e"]),
            (b"\xff\xffabc", [b"abc"]),
        ):
            self.assertEqual(cut(data), (pieces, data[2:]))


class TargetTests(SynchronousTestCase):
    """All of them."""

    def test_names(self) -> None:
        for module, names in TARGETS.items():
            for name in names:
                self.assertTrue(target_of(name).seeds, module)

    def test_a_moment_of_each(self) -> None:
        for name in NAMES:
            report = plain(target_of(name), _EACH, random.Random())
            self.assertEqual(list(report.findings.values()), [], name)


class ProgramTests(SystemTestCase):
    """As it is run by hand."""

    async def run_fuzz(self, *arguments: str) -> Program:
        program = Program(self, PYTHON, "-m", "benchmarks.fuzz", *arguments)
        await program.ended
        return program

    async def test_line(self) -> None:
        """A line for each target, whichever way inputs are made."""
        for more in ((), ("--plain",)):
            program = await self.run_fuzz("line", "passing", "--seconds", "0.5", *more)
            self.assertEqual(await program.ended, 0, program.report())
            wanted = r"line +\d+ inputs +\d+/s +\d+ s  nothing found\npassing .*nothing found\n$"
            self.assertRegex(program.stdout.decode(), wanted)

    async def test_no_such_target(self) -> None:
        program = await self.run_fuzz("nothing")
        self.assertEqual(await program.ended, 2, program.report())
        self.assertIn(b"no such target: nothing", program.stderr)
