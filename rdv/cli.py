"""
The ``rdv`` command.

Exit status: 0 when it went well (for a stream: both directions ended in good order); 1 when no
connection or no port could be had; 2 for wrong usage; 3 when the stream broke; 130 after an
interrupt, 143 after SIGTERM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rdv.arguments import parser
from rdv.telling import Form

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param argv: the arguments, without the command's own name.
    :return: the exit status.
    """
    _fill_standard_descriptors()
    argv = sys.argv[1:] if argv is None else argv
    arguments = parser(Form.JSON if "--json" in argv else Form.TEXT).parse_args(argv)
    arguments.command = {"s": "serve", "d": "dial", "a": "accept"}.get(
        arguments.command, arguments.command
    )
    try:
        # Late: printing the help does not need Twisted.
        from rdv import commands

        return commands.run(arguments)
    except KeyboardInterrupt:
        return 130


def _fill_standard_descriptors() -> None:
    """A closed stdin must not become the number of the next file that is opened."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w"))
