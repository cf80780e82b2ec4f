"""
Each literal block of README and of the pages for users belongs to a test.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import blocks_without_test, literal_blocks
from tests.processes import ROOT

PAGES = (
    "README.rst",
    *(f"docs/{name}.rst" for name in ("client", "guide", "server")),
    *(f"docs/{name}.rst" for name in ("operations", "access", "proxies", "monitoring")),
)


class BlocksTests(SynchronousTestCase):
    def test_every_block_is_run(self) -> None:
        """A block that no test runs may be wrong."""
        for module in Path(__file__).parent.glob("test_*.py"):
            import_module(f"tests.{module.stem}")
        howto = [str(path.relative_to(ROOT)) for path in ROOT.glob("docs/howto/*.rst")]
        self.assertNotEqual(howto, [])
        for document in (*PAGES, *howto):
            self.assertEqual(blocks_without_test(document), [], document)

    def test_literal_blocks(self) -> None:
        """Both kinds are found, at any depth, and nothing else."""
        text = "Say::\n\n    a\n\n      b\n\nor ::\n\n  c\n.. note::\n\n   d\n"
        text += "* item::\n\n      e\n\n  .. code-block:: python\n\n     f\nend\n"
        self.assertEqual(literal_blocks(text), ["a\n\n  b", "c", "e", "f"])
