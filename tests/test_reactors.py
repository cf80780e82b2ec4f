"""
A part of the suite under the reactors that are not the default here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.processes import PYTHON, ROOT, Program, together
from tests.servers import SystemTestCase

#: The reactors other than the default one.
OTHERS = ("poll", "select", "asyncio")
#: Unit tests: each way in which a relay moves bytes, and what can happen to them.
MOVING = "rdv.test.server.relay.test_moving"
#: Unit tests with sockets, or for which the order of events matters.
UNITS = (
    MOVING,
    "rdv.test.flows",
    "rdv.test.server.descriptors",
    "rdv.test.server.meeting",
    "rdv.test.server.site",
    "rdv.test.stdio",
    "rdv.test.test_awaiting",
    "rdv.test.transport.test_prompt",
)
#: System tests.
SYSTEM = (
    "tests.test_forwarding",
    "tests.test_limits",
    "tests.test_plain",
    "tests.test_scarcity",
    "tests.test_server_tls",
)


class ReactorTests(SystemTestCase):
    timeout = 240

    async def check(self, reactor: str, *tests: str, least: int, programs: str = "") -> str:
        """
        They pass, all of them; none is skipped.

        :param least: so many there are at least.
        :param programs: the reactor of the programs that they start.
        :return: what was said.
        """
        environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        if programs:
            environment["RDV_TEST_REACTOR"] = programs
        arguments = ("--reactor", reactor, "--temp-directory", str(Path(self.mktemp()).absolute()))
        program = Program(self, PYTHON, "-m", "twisted.trial", *arguments, *tests, env=environment)
        self.assertEqual(await program.ended, 0, program.report())
        said = program.stdout.decode()
        self.assertRegex(said, r"\nPASSED \(successes=\d+\)\n$")
        ran = re.search(r"^Ran (\d+) tests in ", said, re.MULTILINE)
        assert ran is not None
        self.assertGreaterEqual(int(ran[1]), least)
        return said

    async def test_moving(self) -> None:
        """The bytes of a relay."""
        for said in await together(*(self.check(each, MOVING, least=50) for each in OTHERS)):
            for name in ("SplicedTests", "CopiedTests", "TappedTests", "SecureTests"):
                self.assertIn(name, said)

    async def test_asyncio(self) -> None:
        """Which has events before calls, while the others have calls before events."""
        await together(
            self.check("asyncio", *UNITS, least=600),
            self.check("default", *SYSTEM, least=25, programs="asyncio"),
        )

    async def test_select(self) -> None:
        """Which watches no descriptor above 1023."""
        await self.check("default", "tests.test_descriptors", least=5, programs="select")

    if sys.platform != "linux":
        skip = "the suite is about what only Linux has"
