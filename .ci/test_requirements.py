"""Tests of requirements.py. Run this file; it needs nothing but Python."""

import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

import requirements
from requirements import complaints, imported, lowest, owner, required

LISTED = [
    "Twisted[tls]>=26.10",
    "zope.interface>=8",
    "h11 >=0.16,<1",
    'tqdm; extra == "progress"',
    "sphinx>=9; extra == 'docs'",
]
DISTRIBUTIONS = {
    "twisted": ["Twisted", "txrdv"],
    "zope": ["zope.event", "zope.interface"],
    "OpenSSL": ["pyOpenSSL"],
    "h11": ["h11"],
    "tqdm": ["tqdm"],
}


class RequirementTests(unittest.TestCase):
    """Requirements in the form that a distribution has them."""

    def test_required(self) -> None:
        self.assertEqual(required(LISTED), LISTED[:3])
        self.assertEqual(required(LISTED, {"progress"}), LISTED[:4])

    def test_lowest(self) -> None:
        self.assertEqual(lowest(LISTED[:3]), ["twisted==26.10", "zope-interface==8", "h11==0.16"])
        for line in ("h11", "h11<1", "h11; python_version >= '3.11'"):
            self.assertRaises(ValueError, lowest, [line])


class ImportTests(unittest.TestCase):
    """Modules and their distributions."""

    def test_imported(self) -> None:
        source = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n"
        self.assertEqual(sorted(imported(source)), ["a.b", "c", "d.e", "i"])

    def test_owner(self) -> None:
        for module, name in (
            ("twisted.plugins", "twisted"),
            ("zope.interface.verify", "zope-interface"),
            ("OpenSSL.SSL", "pyopenssl"),
            ("nobodys", "an unknown one (nobodys)"),
            ("zope.unknown", "an unknown one (zope.unknown)"),
            ("os.path", None),
            ("rdv.wire", None),
        ):
            self.assertEqual(owner(module, DISTRIBUTIONS), name)


class CheckTests(unittest.TestCase):
    """A checkout with two modules."""

    def check(self, program: str, test: str) -> list[str]:
        """The complaints about these files."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("a.py", program), ("test/test_a.py", test)):
                path = Path(folder, "rdv", name)
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            with patch.object(requirements, "packages_distributions", lambda: DISTRIBUTIONS):
                return complaints(Path(folder), LISTED)

    def test_right(self) -> None:
        program = "import h11, tqdm, twisted.web, zope.interface"
        self.assertEqual(self.check(program, "import h11"), [])

    def test_wrong(self) -> None:
        program = "import h11, twisted.web"
        self.assertEqual(
            self.check(program, "import OpenSSL"),
            [
                "rdv/test imports pyopenssl: not required",
                "required, but not imported: zope-interface",
            ],
        )


if __name__ == "__main__":
    unittest.main()
