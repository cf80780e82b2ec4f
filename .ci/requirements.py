"""
Check the requirements of the installed txrdv. Run this with a Python that has it.

``requirements.py check CHECKOUT``: every imported distribution is required by name, and every
required one is imported. A dependency of a dependency may be gone with its next release.

``requirements.py lowest``: the lowest versions of the requirements, as constraints for pip.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import packages_distributions, requires
from pathlib import Path

#: Folders, and the extras that their modules may need.
FOLDERS = {
    "rdv": {"metrics", "progress"},
    "rdv/test": {"metrics", "progress", "test"},
    "tests": {"metrics", "progress", "test"},
    "examples": {"progress", "test"},
    "benchmarks": {"progress", "test"},
}
#: Modules of the checkout.
OWN = {"rdv", "tests", "benchmarks", "examples"}


def name_of(requirement: str) -> str:
    """The name of the distribution, normalised."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if found is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def required(requirements: Iterable[str], extras: Container[str] = ()) -> list[str]:
    """The requirements that are needed always, or for one of these extras."""
    kept = []
    for each in requirements:
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", each)
        if extra is None or extra[1] in extras:
            kept.append(each)
    return kept


def lowest(requirements: Iterable[str]) -> list[str]:
    """
    A constraint for each requirement.

    :raises ValueError: when one has no lower bound.
    """
    constraints = []
    for each in requirements:
        bound = re.search(r">=\s*([\w.]+)", each.partition(";")[0])
        if bound is None:
            raise ValueError(f"no lower bound: {each}")
        constraints.append(f"{name_of(each)}=={bound[1]}")
    return constraints


def imported(source: str) -> Iterator[str]:
    """The modules that a module imports, anywhere in its source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def owner(module: str, distributions: Mapping[str, Sequence[str]]) -> str | None:
    """The distribution of a module; None for the standard library and for our own modules."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in OWN:
        return None
    names = sorted({name_of(each) for each in distributions.get(top, ())})
    # Several distributions may have this package: zope is a namespace, and so is twisted.plugins.
    fitting = [each for each in names if f"{module}.".startswith(f"{each.replace('-', '.')}.")]
    found = fitting if len(names) > 1 else names
    return found[0] if found else f"an unknown one ({module})"


def complaints(checkout: Path, requirements: Sequence[str]) -> list[str]:
    """One line for each requirement that is missing or superfluous."""
    distributions = packages_distributions()
    found: set[str] = set()
    wrong: set[str] = set()
    for path in sorted(checkout.glob("*/**/*.py")):
        relative = path.relative_to(checkout).as_posix()
        folder = max((each for each in FOLDERS if relative.startswith(f"{each}/")), default="")
        if not folder:
            continue
        allowed = {name_of(each) for each in required(requirements, FOLDERS[folder])}
        owners = {owner(each, distributions) for each in imported(path.read_text())} - {None}
        wrong |= {f"{folder} imports {each}: not required" for each in owners - allowed}
        if folder == "rdv":
            found |= {each for each in owners if each is not None}
    needless = {name_of(each) for each in required(requirements)} - found
    return sorted(wrong | {f"required, but not imported: {each}" for each in needless})


if __name__ == "__main__":
    listed = requires("txrdv") or []
    if sys.argv[1] == "lowest":
        print("\n".join(lowest(required(listed))))
    else:
        sys.exit("\n".join(complaints(Path(sys.argv[2]), listed)) or 0)
