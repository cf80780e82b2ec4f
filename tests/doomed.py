"""
``rdv``, but the process is killed when it calls a certain function, or after that::

    python -m tests.doomed rdv.client.stream.connection:Connection.attach accept URL TOKEN
    python -m tests.doomed +rdv.client.candidates.candidate:Candidate.choose dial URL TOKEN

With a ``+``: as soon as what the function has written is in the kernel.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from operator import attrgetter
from typing import Any

from rdv.commands.cli import main


def _die(*arguments: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _doom(place: str) -> None:
    behind = place.startswith("+")
    module, _, path = place.removeprefix("+").partition(":")
    owner_path, _, name = path.rpartition(".")
    owner: Any = import_module(module)
    if owner_path:
        owner = attrgetter(owner_path)(owner)
    function = getattr(owner, name)

    def last(*arguments: Any, **options: Any) -> Any:
        from twisted.internet import reactor

        result = function(*arguments, **options)
        # Calls come before events: it is written in the next turn.
        reactor.callLater(0, reactor.callLater, 0, _die)
        return result

    setattr(owner, name, last if behind else _die)


if __name__ == "__main__":
    _doom(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
