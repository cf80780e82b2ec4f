"""
Modules that are imported now, but whose code runs when something in them is first used.

The imported object is the module itself, so the importing code does not change: if it uses the
module immediately, the module's code runs immediately.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import PathFinder, SourceFileLoader
from threading import RLock
from types import ModuleType

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

__all__ = ["late"]

#: For each module that has not run yet, its loader, and the names that do not need it to run.
_waiting: dict[str, tuple[SourceFileLoader, Mapping[str, str]]] = {}
_NOTHING: Mapping[str, str] = {}
#: For each of these modules, what lets one thread run it. One lock for all would be held while a
#: module imports others, and wait for a thread that imports one of those and needs a second module.
_locks: dict[str, RLock] = {}


@contextmanager
def late(names: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """
    Modules that are named here, and imported for the first time within this context, run late.

    :param names: the modules. For a package, also names that it imports from its own modules, each
        with the module it comes from: using such a name, or a module of the package, does not run
        the package's own code.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    def __init__(self, names: Mapping[str, Mapping[str, str]]) -> None:
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _LateLoader(spec.loader, self._names[name])  # type: ignore[assignment]
        return spec


class _LateLoader:
    def __init__(self, loader: SourceFileLoader, homes: Mapping[str, str]) -> None:
        self._loader = loader
        self._homes = homes

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LateModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        module.__loader__ = spec.loader = self._loader
        _locks[spec.name] = RLock()
        _waiting[spec.name] = self._loader, self._homes


class _LateModule(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__":  # all that it has
            _run(self)
        return ModuleType.__getattribute__(self, name)  # it may be of this class no longer

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # an import asks whether it is a package
            raise AttributeError(name)
        _, homes = _waiting.get(self.__name__, (None, _NOTHING))
        home = homes.get(name, name)
        if _has_module(self, home):
            part = import_module(f"{self.__name__}.{home}")
            if home == name:
                return part
            if hasattr(part, name):
                return getattr(part, name)
        _run(self)
        return ModuleType.__getattribute__(self, name)


def _has_module(module: ModuleType, name: str) -> bool:
    spec = module.__spec__
    assert spec is not None
    path = spec.submodule_search_locations
    return path is not None and PathFinder.find_spec(f"{spec.name}.{name}", path) is not None


def _run(module: ModuleType) -> None:
    lock = _locks.get(module.__name__)
    if lock is None:  # it is being imported
        return
    with lock:
        found = _waiting.pop(module.__name__, None)
        if found is None:  # another thread was first, or this is its own code
            return
        try:
            found[0].exec_module(module)
        except BaseException:
            _waiting[module.__name__] = found
            raise
        if type(module) is _LateModule:
            module.__class__ = ModuleType  # type: ignore[assignment]
