"""
The process helper itself: with a mistake in it, other tests would hang, or pass wrongly.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import TestCase

from tests.processes import PYTHON, Program, ProgramEnded


class ProgramTests(TestCase):
    """The output of a program, its status, and its removal."""

    timeout = 60

    def script(self, source: str) -> Program:
        return Program(self, PYTHON, "-c", source)

    async def test_line_that_cannot_come(self) -> None:
        """Waiting for what an ended program has not said fails, and shows what it has said."""
        program = self.script("import sys; sys.exit('so long')")
        error = await self.assertFailure(program.line("never"), ProgramEnded)
        self.assertIn("so long", str(error))
        self.assertIn("exit code: 1", str(error))
        await self.assertFailure(program.received(1), ProgramEnded)

    async def test_line_is_whole(self) -> None:
        """A line counts when it is complete, and afterwards for ever."""
        program = self.script(
            "import sys; o = sys.stdout; o.write('port 12'); o.flush();"
            "sys.stdin.readline(); o.write('34\\nlast'); o.flush(); sys.stdin.read()"
        )
        await program.received(7)
        found = program.line(r"^port (\d+)$")
        self.assertNoResult(found)
        program.write(b"go on\n")
        self.assertEqual((await found)[1], "1234")
        self.assertEqual(self.successResultOf(program.line(r"^port (\d+)$"))[1], "1234")
        last = program.line("^last$")
        self.assertNoResult(last)
        program.close_stdin()
        await last

    async def test_ended(self) -> None:
        """Exit codes, and signals as negative numbers; asked for as often as one likes."""
        program = self.script("import sys; sys.stdin.read(); sys.exit(7)")
        program.close_stdin()
        self.assertEqual([await program.ended, await program.ended], [7, 7])
        program = self.script("import sys; print('up', flush=True); sys.stdin.read()")
        await program.line("^up$")
        program.signal("TERM")
        self.assertEqual(await program.ended, -15)

    async def test_descriptors(self) -> None:
        """Files in the place of the pipes."""
        source, target = self.mktemp(), self.mktemp()
        content = Random(7).randbytes(1024 * 1024)
        with open(source, "wb") as file:
            file.write(content)
        with open(source, "rb") as stdin, open(target, "wb") as stdout:
            code = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
            program = Program(
                self, PYTHON, "-c", code, stdin=stdin.fileno(), stdout=stdout.fileno()
            )
        self.assertEqual(await program.ended, 0)
        with open(target, "rb") as file:
            self.assertEqual(file.read(), content)
