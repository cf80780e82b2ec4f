"""
Measures how much a stream has moved, and shows it while it moves: here, as the events of ``--json``
(``docs/howto/scripts.rst`` has the list).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rdv._stdio.console import Console
from rdv.client.trace import Event, What

if TYPE_CHECKING:
    from rdv._flows.sinks import Sink
    from rdv.client.trace import Trace

__all__ = ["Counts", "Display", "Meter", "StreamEvents"]

log = Logger()


class Counts(Protocol):
    """Bytes that a stream has moved, as :class:`rdv._stdio.piping.Piping` counts them."""

    @property
    def sent(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def received(self) -> int: ...


class Display(Protocol):
    """
    Shows the values of a meter.

    :ivar interval: seconds between two updates.
    """

    @property
    def interval(self) -> float: ...

    @property
    def trace(self) -> Trace | None:
        """Called with the events of the attempt that makes the connection; None for no calls."""

    def sink(self) -> Sink | None:
        """The sink to use instead of stdout; None for stdout itself."""

    def show(self, meter: Meter) -> None:
        """Called at intervals while the stream lasts."""

    def finish(self, meter: Meter) -> None:
        """Called once, when the stream has ended."""

    def summary(self, meter: Meter) -> str:
        """A line for the end; may be empty."""


class _Moved(NamedTuple):
    sent: int = 0
    delivered: int = 0
    received: int = 0


class Meter:
    """
    Reads the counts of one stream. It costs a timer, and nothing in the stream itself.

    :ivar display: updated at regular intervals from the start.
    """

    def __init__(self, clock: IReactorTime, display: Display) -> None:
        self._clock = clock
        self.display = display
        self._counts: Counts = _Moved()
        self._begun: float | None = None
        self._ended: float | None = None
        self._call = LoopingCall(display.show, self)
        self._call.clock = clock

    def start(self, counts: Counts) -> None:
        """The stream begins."""
        self._counts = counts
        self._begun = self._clock.seconds()
        shown = self._call.start(self.display.interval, now=False)
        # A display that fails must not stop the stream.
        shown.addErrback(lambda failure: log.failure("nothing is shown any more", failure))

    def stop(self) -> None:
        """The stream has ended, cleanly or not."""
        if self._begun is None:
            return
        self._ended = self._clock.seconds()
        counts = self._counts
        self._counts = _Moved(counts.sent, counts.sent, counts.received)
        if self._call.running:
            self._call.stop()
            self.display.finish(self)

    @property
    def sent(self) -> int:
        """
        Bytes that the peer's system has acknowledged, as far as ours reports it; after the end, all
        bytes that were sent.
        """
        return self._counts.delivered

    @property
    def received(self) -> int:
        """Bytes that came from the peer."""
        return self._counts.received

    @property
    def seconds(self) -> float:
        """How long the stream lasts, or has lasted. A clock that is set back makes it too short."""
        if self._begun is None:
            return 0.0
        now = self._clock.seconds() if self._ended is None else self._ended
        return max(0.0, now - self._begun)


#: Events with a clearer name for programs.
_NAMES = {What.ASKED: "lobby", What.MET: "candidates"}
#: Events that the command itself reports, once for all attempts.
_LEFT_OUT = {What.CONNECTED, What.FAILED, What.MOVED}
#: Events of which only the first is reported for an address. One that refuses is dialled hundreds
#: of times a second, and reporting each dial would slow them down. ``dials``, in ``chosen`` or
#: ``lost``, is their number.
_OFTEN = {What.DIALLED, What.REFUSED}


class StreamEvents:
    """
    Reports how a connection is established, and how much the stream has moved: whenever it has
    moved something, and once more at the end. A :class:`rdv._stdio.meter.Display`.
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
            del fields["event"], fields["time"]  # this time is not a date
            self._console.tell(_NAMES.get(event.what, event.what.value), "", **fields)

    def sink(self) -> None:
        """See :class:`rdv._stdio.meter.Display`."""

    def show(self, meter: Meter) -> None:
        if self._told != (meter.sent, meter.received):
            self.finish(meter)

    def finish(self, meter: Meter) -> None:
        sent, received = self._told = meter.sent, meter.received
        self._console.tell("bytes", sent=sent, received=received)

    def summary(self, meter: Meter) -> str:
        return ""
