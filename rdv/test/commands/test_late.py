"""
Tests of :mod:`rdv.commands.late`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module, invalidate_caches
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.commands.late import late

#: What the modules of a test have done, and what they are waiting for.
ran: list[str] = []
begun, go_on = Event(), Event()

_RUNS = f"from {__name__} import ran; ran.append(__name__)\n"


class LateTests(SynchronousTestCase):
    """``late``."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.patch(sys, "path", [str(self.folder), *sys.path])
        self.patch(sys, "dont_write_bytecode", True)
        known = set(sys.modules)

        def forget() -> None:
            for name in set(sys.modules) - known:
                del sys.modules[name]

        self.addCleanup(forget)
        self.addCleanup(ran.clear)

    def write(self, **modules: str) -> None:
        """Modules; ``a__b`` is in the package ``a``, whose own code is in ``a____init__``."""
        for name, code in modules.items():
            path = self.folder / f"{name.replace('__', '/', 1)}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(_RUNS + code)
        invalidate_caches()

    def load(self, name: str, homes: Mapping[str, str] | None = None) -> ModuleType:
        """Import a module that is to run late."""
        with late({name: homes or {}}):
            return import_module(name)

    def test_first_use(self) -> None:
        """Importing it twice does not run it; using it does, once; then it is like any other."""
        self.write(lazy="value = 1\n")
        module = self.load("lazy")
        self.assertIs(import_module("lazy"), module)
        self.assertEqual([module.__name__, ran], ["lazy", []])
        self.assertEqual([module.value, module.value, ran], [1, 1, ["lazy"]])
        self.assertIs(type(module), ModuleType)
        self.assertIs(sys.modules["lazy"], module)
        self.assertEqual(type(module.__loader__), type(import_module(__name__).__loader__))
        self.assertIs(module.__spec__ and module.__spec__.loader, module.__loader__)

    def test_each_use(self) -> None:
        """Whatever asks for something in it gets it."""
        uses = [
            "from lazy import value",
            "from lazy import *",
            "import lazy; value = lazy.value",
            "import lazy; value = vars(lazy)['value']",
            "import lazy; value = 'value' in dir(lazy)",
            "import lazy, sys; value = sys.modules['lazy'].value",
            "import lazy, importlib; value = importlib.reload(lazy).value",
            "import lazy; value = lazy.made",
        ]
        made = "def __getattr__(name):\n    return {'made': 1}[name]\n"
        self.write(lazy=f"value = 1\n__all__ = ['value']\n{made}")
        for use in uses:
            self.load("lazy")
            found: dict[str, Any] = {}
            exec(use, found)
            self.assertEqual([found["value"], use], [1, use])
            self.assertIn("lazy", ran)
            del sys.modules["lazy"]
            ran.clear()

    def test_others(self) -> None:
        """Who is not named runs at once, and so does who is named and imported afterwards."""
        self.write(other="", lazy="")
        with late({"lazy": {}}):
            import_module("other")
        import_module("lazy")
        self.assertEqual(ran, ["other", "lazy"])

    def test_not_python(self) -> None:
        """What is none of Python's source, or not there, is loaded or missed at once."""
        with late({"_queue": {}, "lazy": {}}):
            self.patch(sys, "modules", {**sys.modules})
            sys.modules.pop("_queue", None)
            self.assertIn("Empty", vars(import_module("_queue")))
            self.assertRaises(ModuleNotFoundError, import_module, "lazy")

    def test_missing(self) -> None:
        """What it does not have is no attribute of it."""
        self.write(lazy="")
        module = self.load("lazy")
        with self.assertRaises(AttributeError) as caught:
            _ = module.nothing
        self.assertEqual(str(caught.exception), "module 'lazy' has no attribute 'nothing'")

    def test_fails(self) -> None:
        """An error in it is that of its first use, and of the next, until there is none."""
        self.write(lazy="value = 1\nraise ImportError('not today')\n")
        module = self.load("lazy")
        for _ in range(2):
            self.assertRaises(ImportError, lambda: module.other)
        self.write(lazy="other = 2\n")
        self.assertEqual(module.other, 2)

    def test_package(self) -> None:
        """A package does not run for modules below it, or for names that these have for it."""
        self.write(
            box____init__="from .a import *\nfrom . import b\nvalue = b.value\n",
            box__a="name = 1\n__all__ = ['name']\n",
            box__b="from . import a\nvalue = 2\n",
        )
        box = self.load("box", {"name": "a", "value": "b", "moved": "b", "gone": "c"})
        self.assertEqual([box.name, box.value, box.a.name], [1, 2, 1])
        self.assertEqual(ran, ["box.a", "box.b"])
        for name in "moved", "gone", "else":  # the package may have what that module does not
            self.assertFalse(hasattr(box, name))
        self.assertEqual(ran, ["box.a", "box.b", "box"])
        self.assertEqual([box.name, box.value], [1, 2])

    def test_package_of_itself(self) -> None:
        """A package that runs may be imported by what it imports, as any other."""
        self.write(
            box____init__="early = 1\nfrom .a import name\nlater = 2\n",
            box__a="import box\nfrom box import early\nname = early, hasattr(box, 'later')\n",
        )
        box = self.load("box")
        self.assertEqual([box.later, box.name], [2, (1, False)])
        self.assertEqual(ran, ["box", "box.a"])

    def test_threads(self) -> None:
        """Who uses it while another thread runs it waits for that."""
        begun.clear()
        go_on.clear()
        self.write(
            lazy=f"from {__name__} import begun, go_on\nbegun.set()\ngo_on.wait(60)\nvalue = 1\n"
        )
        module = self.load("lazy")
        found = []
        threads = [Thread(target=lambda: found.append(module.value)) for _ in range(2)]
        threads[0].start()
        begun.wait(60)
        threads[1].start()
        go_on.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual([found, ran], [[1, 1], ["lazy"]])

    def test_threads_with_two_modules(self) -> None:
        """A module can run while another thread runs another one."""
        begun.clear()
        go_on.clear()
        self.write(
            lazy=f"from {__name__} import begun, go_on\nbegun.set()\ngo_on.wait(10)\nvalue = 1\n",
            other="value = 2\n",
        )
        module, other = self.load("lazy"), self.load("other")
        thread = Thread(target=lambda: module.value)
        thread.start()
        begun.wait(60)
        self.assertEqual(other.value, 2)
        self.assertTrue(thread.is_alive())
        go_on.set()
        thread.join(60)
