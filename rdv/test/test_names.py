"""The names of the package itself."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

import rdv
from rdv import endpoints


class NameTests(SynchronousTestCase):
    """``from rdv import Client``."""

    def test_all(self) -> None:
        """Each is the one of its own package."""
        for name in rdv.__all__:
            if name != "__version__":
                value = getattr(rdv, name)
                self.assertEqual(value.__name__, name)
                self.assertIs(getattr(import_module(rdv._HOMES[name]), name), value)

    def test_endpoints(self) -> None:
        """Likewise those of ``rdv.endpoints``."""
        for name in endpoints.__all__:
            home = import_module(endpoints._HOMES[name])
            self.assertIs(getattr(endpoints, name), getattr(home, name))

    def test_unknown(self) -> None:
        """As of any module."""
        for module, name in ((rdv, "Clinet"), (rdv, "_cached"), (endpoints, "Endpiont")):
            self.assertRaises(AttributeError, getattr, module, name)

    def test_cheap(self) -> None:
        """Nothing is loaded before it is asked for, and only one side then."""
        program = (
            "import sys, rdv;"
            "print(any(name.startswith(('twisted', 'rdv.')) for name in sys.modules));"
            "from rdv import Client;"
            "print('rdv.client' in sys.modules, 'rdv.server' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout, "False\nTrue False\n")
