"""
What ``--json`` tells of a stream; ``docs/howto/scripts.rst`` has the list.
"""

from __future__ import annotations

from rdv._stdio.console import Console
from rdv._stdio.meter import Meter
from rdv.client.trace import Event, What

__all__ = ["StreamEvents"]

#: Two steps have names that need no explanation.
_NAMES = {What.ASKED: "lobby", What.MET: "candidates"}
#: What the command says itself, of all attempts together.
_LEFT_OUT = {What.CONNECTED, What.FAILED}
#: An address that refuses is dialled hundreds of times in a second, and telling of each keeps us
#: from it: only the first is told. ``dials`` at the end of a way says how many there were.
_OFTEN = {What.DIALLED, What.REFUSED}


class StreamEvents:
    """
    Tells of the way to a connection, and how much has moved: when something has, and once more at
    the end. A :class:`rdv._stdio.meter.Display`.
    """

    interval = 1.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0, 0

    def trace(self, event: Event) -> None:
        """See :data:`rdv.client.trace.Trace`."""
        again = event.what in _OFTEN and event.fields["dial"] != 1
        if event.what not in _LEFT_OUT and not again:
            fields = event.record()
            del fields["event"], fields["time"]  # which is no date
            self._console.tell(_NAMES.get(event.what, event.what.value), "", **fields)

    def sink(self) -> None:
        """See :class:`rdv._stdio.meter.Display`."""

    def show(self, meter: Meter) -> None:
        """See :class:`rdv._stdio.meter.Display`."""
        if self._told != (meter.sent, meter.received):
            self.finish(meter)

    def finish(self, meter: Meter) -> None:
        """See :class:`rdv._stdio.meter.Display`."""
        sent, received = self._told = meter.sent, meter.received
        self._console.tell("bytes", sent=sent, received=received)

    def summary(self, meter: Meter) -> str:
        """See :class:`rdv._stdio.meter.Display`."""
        return ""
