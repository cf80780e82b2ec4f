"""
The bytes of a relay under every reactor that can watch descriptors.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.processes import PYTHON, ROOT, Program, together
from tests.servers import SystemTestCase

#: What is run: each way of moving bytes, and what can happen to them.
MODULE = "rdv.test.server.relay.test_moving"


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
            MODULE,
            env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )
        self.assertEqual(await program.ended, 0, program.report())
        said = program.stdout.decode()
        self.assertRegex(said, r"\nPASSED \(successes=\d+\)\n$")
        ran = re.search(r"^Ran (\d+) tests in ", said, re.MULTILINE)
        assert ran is not None
        self.assertGreater(int(ran[1]), 50)
        for name in ("SplicedTests", "CopiedTests", "TappedTests", "SecureTests"):
            self.assertIn(name, said)

    async def test_each(self) -> None:
        """But the one that is the default here, and runs them anyway."""
        await together(*(self.check(reactor) for reactor in ("poll", "select", "asyncio")))

    if sys.platform != "linux":
        skip = "the suite is about what only Linux has"
