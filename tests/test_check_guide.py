"""
The page about ``rdv check``.
"""

from __future__ import annotations

import re

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv.test.check.test_verdict import UNUSABLE, USABLE
from tests import natlab, test_check
from tests.documents import blocks_without_test, replaced, runs
from tests.natlab import TOPOLOGIES, Conditions, Lab
from tests.natlab.programs import Server
from tests.processes import PYTHON, ROOT

CHECK = "docs/howto/check.rst"
#: Numbers, and their units, of which a fast network has smaller ones.
NUMBER = re.compile(r"\d+(\.\d+)?(e\+\d+)?( m?s\b)?")


def same(text: str) -> str:
    """What two runs have in common."""
    return " ".join(NUMBER.sub("N", text).split())


class PageTests(SynchronousTestCase):
    """The page by itself."""

    def test_every_block_is_run(self) -> None:
        """A block that no test runs may be wrong."""
        self.assertEqual(test_check.CHECK, CHECK)
        self.assertEqual(blocks_without_test(CHECK), [])

    def test_every_verdict(self) -> None:
        """Those that there are, and no others."""
        text = (ROOT / CHECK).read_text()
        table = text[text.index("The verdicts") : text.index("For programs")]
        named = set(re.findall(r"(?m)^``([a-z-]+)``  ", table))
        self.assertEqual(named, {each[0] for each in USABLE} | {each[1] for each in UNUSABLE})


class ExampleTests(TestCase):
    """The example, in the laboratory."""

    timeout = 120
    skip = natlab.unavailable()

    @runs(CHECK, "rdv check http", "+ Connected to the server")
    async def test_example(self, command: str, output: str) -> None:
        """A home behind a router, 10 ms from a server with two ports."""
        said = await deferToThread(self.run_in_lab, command)
        self.assertEqual(same(said), same(output))

    def run_in_lab(self, command: str) -> str:
        with Lab(TOPOLOGIES["silent"], Conditions.named("20")) as lab:
            Server(lab, "rdv", ["-l", "8090"])
            program, *arguments = replaced(
                command, ("http://rdv.example.com:8080/", lab.url)
            ).split()
            self.assertEqual(program, "rdv")
            return lab.dialer.namespace.run(PYTHON, "-m", "rdv", *arguments)
