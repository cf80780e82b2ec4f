"""
``check_api.py HTML``: the built documentation describes every public name.

Sphinx silently omits a name in ``__all__`` that has no docstring, or a package that the API page
forgets.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from pathlib import Path

#: The packages for users. All others are private.
PUBLIC = (
    "rdv.addresses",
    "rdv.asyncio_streams",
    "rdv.client",
    "rdv.client.trace",
    "rdv.endpoints",
    "rdv.errors",
    "rdv.explain",
    "rdv.server",
    "rdv.testing",
    "rdv.wire",
)
#: Names in these that are private, or are described at their origin.
PRIVATE = {"rdv.endpoints.IClient", "rdv.endpoints.Trouble"}


def described(inventory: bytes) -> set[str]:
    """The names in an ``objects.inv`` of Sphinx: four lines of text, then compressed ones."""
    body = zlib.decompress(inventory.split(b"\n", 4)[4])
    return {line.split(" ", 1)[0] for line in body.decode().splitlines()}


def missing(names: set[str]) -> list[str]:
    """The public names that are not among these."""
    found = []
    for module in PUBLIC:
        for name in importlib.import_module(module).__all__:
            full = f"{module}.{name}"
            # A type alias is described in the module that defines it, because its comment is there.
            deeper = any(
                each.startswith(f"{module}.") and each.endswith(f".{name}") for each in names
            )
            if full not in PRIVATE and full not in names and not deeper:
                found.append(full)
    return found


if __name__ == "__main__":
    if left_out := missing(described(Path(sys.argv[1], "objects.inv").read_bytes())):
        sys.exit("not in the API reference: " + ", ".join(left_out))
