"""A hook that is named on a command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.access.hook import load_hook

SOURCE = """
class Policy:
    def serve(self, pair):
        return pair

policy = Policy()
number = 1
"""


class HookTests(SynchronousTestCase):
    """Modules in the current folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "dont_write_bytecode", True)
        self.save("rdv_test_policy", SOURCE)

    def save(self, module: str, source: str) -> str:
        """Write one, and forget what Python may know of it; its path."""
        path = self.folder / f"{module}.py"
        path.write_text(source)
        self.addCleanup(sys.modules.pop, module, None)
        return str(path)

    def wrong(self, name: str) -> str:
        """It cannot be had; why, in a line."""
        error = str(self.assertRaises(RdvError, load_hook, name))
        self.assertEqual(len(error.splitlines()), 1)
        self.assertEqual(error[:11], "serve hook ")
        return error[11:]

    def test_found(self) -> None:
        """With dots, too; and the folder comes last, so that it hides nothing."""
        hook = load_hook("rdv_test_policy:policy.serve")
        self.assertEqual(hook("a pair"), "a pair")  # type: ignore[arg-type]
        self.assertEqual(sys.path[-1], str(self.folder))
        before = list(sys.path)
        load_hook("rdv_test_policy:Policy")
        self.assertEqual(sys.path, before)

    def test_installed(self) -> None:
        self.assertIs(load_hook("os.path:join"), os.path.join)

    def test_no_name(self) -> None:
        for name in ("", "policy", "policy:", ":serve", "a b:c", "policy:serve()", "./p.py:serve"):
            self.assertEqual(self.wrong(name), f"{name!r}: not MODULE:CALLABLE")

    def test_nothing_there(self) -> None:
        """No module, no such thing in it, and nothing to call."""
        for name, text in (
            ("rdv_test_none:serve", "ModuleNotFoundError: No module named 'rdv_test_none'"),
            (
                "rdv_test_policy:serve",
                "AttributeError: module 'rdv_test_policy' has no attribute 'serve'",
            ),
            ("rdv_test_policy:policy.no", "AttributeError: 'Policy' object has no attribute 'no'"),
            ("rdv_test_policy:number", "it cannot be called"),
        ):
            self.assertEqual(self.wrong(name), f"{name}: {text}")

    def test_fails(self) -> None:
        """Where it does."""
        for number, (source, text, line) in enumerate(
            (
                (
                    "\nimport rdv_test_none",
                    "ModuleNotFoundError: No module named 'rdv_test_none'",
                    2,
                ),
                ("\n\nraise ValueError('a\\nb')", "ValueError: a b", 3),
            )
        ):
            module = f"rdv_test_failing_{number}"
            path = self.save(module, source)
            said = f"{module}:x: {text} ({path}, line {line})"
            self.assertEqual(self.wrong(f"{module}:x"), said)
        self.save("rdv_test_failing_2", "def")
        self.assertIn("SyntaxError: ", self.wrong("rdv_test_failing_2:x"))
