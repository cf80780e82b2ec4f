"""
stdin, stdout and stderr as a command finds them.
"""

from __future__ import annotations

import fcntl
import os
import sys

__all__ = ["empty_stdin", "prepare"]


def prepare() -> None:
    """
    Open what is closed, so that its number is not given to the next file, and let a stdin that
    cannot be read be an empty one: ``nohup`` makes it write-only, to say that there is none.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w"))
    if fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
        empty_stdin()


def empty_stdin() -> None:
    """Let stdin have nothing; what it was is left to others."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
