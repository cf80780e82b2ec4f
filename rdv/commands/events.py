"""
What ``--json`` tells of a stream; ``docs/howto/scripts.rst`` has the list.
"""

from __future__ import annotations

from rdv.client.trace import Event, What
from rdv.meter import Meter
from rdv.telling import Teller

__all__ = ["StreamEvents"]

#: Two steps have names that need no explanation.
_NAMES = {What.ASKED: "lobby", What.MET: "candidates"}
#: What the command says itself, of all attempts together.
_LEFT_OUT = {What.CONNECTED, What.FAILED}


class StreamEvents:
    """
    Tells of the way to a connection, and how much has moved: when something has, and once more at
    the end. A :class:`rdv.meter.Display`.
    """

    interval = 1.0

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._told = 0, 0

    def trace(self, event: Event) -> None:
        """See :data:`rdv.client.trace.Trace`."""
        if event.what not in _LEFT_OUT:
            fields = event.record()
            del fields["event"]
            self._teller.tell(_NAMES.get(event.what, event.what.value), "", **fields)

    def sink(self) -> None:
        """See :class:`rdv.meter.Display`."""

    def show(self, meter: Meter) -> None:
        """See :class:`rdv.meter.Display`."""
        if self._told != (meter.sent, meter.received):
            self.finish(meter)

    def finish(self, meter: Meter) -> None:
        """See :class:`rdv.meter.Display`."""
        sent, received = self._told = meter.sent, meter.received
        self._teller.tell("bytes", sent=sent, received=received)

    def summary(self, meter: Meter) -> str:
        """See :class:`rdv.meter.Display`."""
        return ""
