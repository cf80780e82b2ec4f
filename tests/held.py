"""
``rdv``, but it does not dial a peer before SIGUSR1: a stream begins on the relay, and a test
decides when there is a direct path::

    python -m tests.held dial --spaces loopback URL SECRET

Both peers must be held, and both released: each could dial the other, and ignores one that it is
about to dial.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred

from rdv.client.dial.hole_punching import HolePuncher
from rdv.commands.cli import main

__all__ = ["Hold"]


class Hold:
    """
    Keeps dials waiting.

    ::

        hold = Hold()
        self.patch(HolePuncher, "dial", hold.dial)
    """

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] | None = []
        real: Any = HolePuncher.dial

        async def dial(*arguments: Any) -> Any:
            if self._waiting is not None:
                held: Deferred[None] = Deferred()
                self._waiting.append(held)
                await held
            return await real(*arguments)

        self.dial = dial

    def release(self) -> None:
        """From now on everybody may dial."""
        released, self._waiting = self._waiting or (), None
        for held in released:
            if not held.called:  # otherwise the race is over
                held.callback(None)


def _hold() -> None:
    from twisted.internet import reactor

    hold, the_reactor = Hold(), reactor
    HolePuncher.dial = hold.dial  # type: ignore[assignment, method-assign]
    call: Any = the_reactor.callFromThread  # type: ignore[attr-defined]
    signal.signal(signal.SIGUSR1, lambda *_: call(hold.release))


if __name__ == "__main__":
    _hold()
    sys.exit(main(sys.argv[1:]))
