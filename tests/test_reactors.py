"""
The bytes of a relay under every reactor that can watch descriptors.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.processes import PYTHON, ROOT, Program
from tests.servers import SystemTestCase

#: What is run: each way of moving bytes, and what can happen to them.
MODULES = (
    "rdv.test.server.test_moving",
    "rdv.test.server.test_moving_breaks",
    "rdv.test.server.test_moving_scripts",
)


class ReactorTests(SystemTestCase):
    """The unit tests on sockets, which have to pass with each."""

    timeout = 240

    async def check(self, reactor: str) -> None:
        """They pass, all of them; none is skipped."""
        arguments = ("--reactor", reactor, "--temp-directory", str(Path(self.mktemp()).absolute()))
        program = Program(
            self,
            PYTHON,
            "-m",
            "twisted.trial",
            *arguments,
            *MODULES,
            env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )
        self.assertEqual(await program.ended, 0, program.report())
        said = program.stdout.decode()
        self.assertRegex(said, r"\nPASSED \(successes=\d+\)\n$")
        ran = re.search(r"^Ran (\d+) tests in ", said, re.MULTILINE)
        assert ran is not None
        self.assertGreater(int(ran[1]), 100)
        for name in ("SplicedTests", "CopiedTests", "TappedTests", "SecureTests"):
            self.assertIn(name, said)

    async def test_epoll(self) -> None:
        await self.check("epoll")

    async def test_poll(self) -> None:
        await self.check("poll")

    async def test_select(self) -> None:
        await self.check("select")

    async def test_asyncio(self) -> None:
        await self.check("asyncio")

    if sys.platform != "linux":
        skip = "the suite is about what only Linux has"
