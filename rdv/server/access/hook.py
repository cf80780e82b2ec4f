"""
``--serve``: a function of the operator's that decides about each pair.
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
    Import a ``serve`` hook. The current folder is searched after the usual places.

    :param name: ``MODULE:CALLABLE``, where CALLABLE may contain dots.
    :raises RdvError: with one line, when it does not exist or its module cannot be imported.
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
        # The line of the operator's code that failed, unless the module itself is missing.
        frames = [each for each in extract_tb(error.__traceback__) if _is_theirs(each.filename)]
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise RdvError(f"serve hook {name}: {text}{where}") from error
    if not callable(found):
        raise RdvError(f"serve hook {name}: it cannot be called")
    return found


def _is_theirs(filename: str) -> bool:
    return filename != __file__ and "importlib" not in filename
