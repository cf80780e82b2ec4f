"""
The ``rdv`` command.

Exit status: 0 for success (for a stream: both directions ended cleanly); 1 when no connection or no
port was available; 2 for wrong usage; 3 when the stream broke; 130 after an interrupt, 143 after
SIGTERM.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from rdv._stdio.console import Form
from rdv._system.process import hold_signals, open_standard_descriptors
from rdv.commands.arguments import parse
from rdv.commands.loading import load

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param argv: the arguments, without the command's own name.
    :return: the exit status.
    """
    open_standard_descriptors()
    argv = sys.argv[1:] if argv is None else argv
    arguments = parse(argv, Form.JSON if "--json" in argv else Form.TEXT)
    if arguments.command == "token":
        from rdv.commands import token

        return token.run(arguments)
    if arguments.module == "serve":
        hold_signals()
    try:
        # Nothing that is loaded is garbage; ``running`` turns the collector on again.
        gc.disable()
        # Imported late, because printing the help does not need Twisted.
        load(arguments)
        from rdv.commands import running

        return running.run(arguments)
    except KeyboardInterrupt:
        return 130
