"""
Gives every Python program the reactor that ``RDV_TEST_REACTOR`` names instead of Twisted's default.

Python imports it at its start, where :mod:`tests` has put this folder on its path. Nothing of
Twisted is loaded before the program asks for its reactor.
"""

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType


def _install() -> None:
    import_module(f"twisted.internet.{os.environ['RDV_TEST_REACTOR']}reactor").install()


_default = ModuleType("twisted.internet.default")
_default.install = _install  # type: ignore[attr-defined]
sys.modules[_default.__name__] = _default

# The one that the program would have had.
_here = os.path.dirname(__file__)
_spec = PathFinder.find_spec("sitecustomize", [each for each in sys.path if each != _here])
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(module_from_spec(_spec))
