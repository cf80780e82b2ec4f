"""
``--serve``: a program's own function that decides about each pair.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from traceback import extract_tb

from rdv.errors import RdvError
from rdv.server.meeting.decision import ServeHook

__all__ = ["load_hook"]


def load_hook(name: str) -> ServeHook:
    """
    Import a ``serve`` hook. Modules are looked for where Python looks, and then in the current
    folder.

    :param name: ``MODULE:CALLABLE``, where CALLABLE may have dots, too.
    :raises RdvError: when there is none of that name, or its module cannot be imported; in a line.
    """
    module, _, path = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        raise RdvError(f"serve hook {name[:64]!r}: not MODULE:CALLABLE")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found = import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except Exception as error:
        # Where in the module, if it is not the module that is missing.
        frames = [each for each in extract_tb(error.__traceback__) if _is_theirs(each.filename)]
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise RdvError(f"serve hook {name}: {text}{where}") from error
    if not callable(found):
        raise RdvError(f"serve hook {name}: it cannot be called")
    return found


def _is_theirs(filename: str) -> bool:
    return filename != __file__ and "importlib" not in filename
