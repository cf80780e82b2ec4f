"""
The facts in the events of one attempt, sorted by subject.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rdv.client.trace import Event, What

__all__ = ["Facts", "Trial", "Way", "last_attempt"]


#: Events that name a way, but are about the attempt.
_OUTCOMES = (What.CONNECTED, What.MOVED, What.SWITCHED)


def last_attempt(events: Iterable[Event]) -> list[Event]:
    """
    The events of the attempt that began last, in their order; or of one that has connected since,
    while that one was still under way at another server. If the clock was set back meanwhile, the
    times are changed as if it had stopped.
    """
    known = list(events)
    last = max((event.attempt for event in known), default=0)
    for event in known:
        if event.what in (What.BEGUN, What.CONNECTED):
            last = event.attempt
    told: list[Event] = []
    late, now = 0.0, -math.inf
    for event in known:
        if event.attempt == last:
            late += max(0.0, now - event.time)
            now = event.time
            told.append(replace(event, time=now + late) if late else event)
    return told


@dataclass(slots=True)
class Trial:
    """One dial of an address, and how it ended, if it did. Times are those of events."""

    begun: float
    address: str = ""
    stood: float | None = None
    ended: float | None = None
    reason: str | None = None  # why it failed


class _Told:
    """
    The events of one subject.

    :ivar first: the first event of each kind.
    :ivar last: the last one.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.first = {event.what: event for event in reversed(events)}
        self.last = {event.what: event for event in events}

    def time(self, what: What) -> float | None:
        """When an event last happened; None if it did not."""
        return self.last[what].time if what in self.last else None

    def field(self, what: What, name: str) -> Any:
        """A field of the last such event; None if there is none."""
        return self.last[what].fields.get(name) if what in self.last else None

    def text(self, what: What, name: str) -> str | None:
        """The same as text; empty if the event does not have the field."""
        return _text(self.last[what], name) if what in self.last else None

    def end(self, *kinds: What) -> float | None:
        """When the last event of these kinds happened; None if none did."""
        return max((self.last[what].time for what in kinds if what in self.last), default=None)

    def trials(self, begun: What, stood: What, lost: What) -> list[Trial]:
        """The dials, from the events of these three kinds."""
        trials: list[Trial] = []
        for event in self.events:
            if event.what is begun:
                trials.append(Trial(event.time, _text(event, "address")))
            elif event.what is stood and trials:
                trials[-1].stood = event.time
            elif event.what is lost and trials:
                trials[-1].ended, trials[-1].reason = event.time, _text(event, "reason")
        return trials


class Way(_Told):
    """The result of one way to the peer. Times are those of events."""

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__(events)
        self.number = events[0].fields.get("way")
        self.begun = events[0].time
        self.kind = self.text(What.WAY, "kind") or "dial"
        self.address = self.text(What.WAY, "address") or ""
        self.space = self.text(What.WAY, "space") or ""
        self.guessed = bool(self.field(What.WAY, "guessed"))
        self.dials = self.trials(What.DIALLED, What.STANDS, What.REFUSED)
        #: The dials that failed.
        self.refusals = [dial for dial in self.dials if dial.reason is not None]
        self.lines = [event for event in events if event.what in (What.SAID, What.HEARD)]
        #: The first line from the peer.
        self.heard = self.first.get(What.HEARD)
        #: Since when it has waited for a better one.
        self.waits = self.first[What.WAITS].time if What.WAITS in self.first else None
        self.chosen = What.CHOSEN in self.last
        self.lost = self.text(What.LOST, "reason")
        self.ended = self.end(What.CHOSEN, What.LOST)
        lately = [event for event in events if event.what in (What.STANDS, What.REFUSED)][-1:]
        #: Since when it is connected, if it still is.
        self.stands = next((each.time for each in lately if each.what is What.STANDS), None)


class Facts(_Told):
    """The result of one attempt. Times are those of events."""

    def __init__(self, events: Sequence[Event]) -> None:
        """:param events: those of one attempt, from :func:`last_attempt`."""
        super().__init__(events)
        self.begun = events[0].time if events else 0.0
        #: When there was a connection.
        self.connected = self.time(What.CONNECTED)
        #: Whether the connection may move, or has moved, from the relay to a direct path.
        self.moves = bool(self.field(What.CONNECTED, "moves"))
        #: When it has moved.
        self.moved = self.time(What.MOVED) if self.moves else None
        #: Why it has not moved, and will not.
        self.stayed = self.text(What.STAYED, "reason") if self.moves else None
        ends = (What.MOVED, What.STAYED) if self.moves else (What.CONNECTED, What.FAILED)
        over = self.end(*ends)
        #: When the attempt was over, or the time of the last event.
        self.ended = (events[-1].time if events else 0.0) if over is None else over
        self.role = self.text(What.BEGUN, "role") or ""
        self.server = self.text(What.BEGUN, "server") or ""
        self.calls = self.trials(What.CALLED, What.REACHED, What.UNREACHED)
        self.asked = self.time(What.ASKED)
        self.answered = self.time(What.ANSWERED)
        self.status = self.field(What.ANSWERED, "status")
        self.phrase = self.text(What.ANSWERED, "phrase") or ""
        self.met = self.time(What.MET)
        self.path = self.text(What.CONNECTED, "path")
        self.failed = self.text(What.FAILED, "reason")
        by_number: dict[object, list[Event]] = {}
        for event in events:
            if "way" in event.fields and event.what not in _OUTCOMES:
                by_number.setdefault(event.fields["way"], []).append(event)
        self.ways = [Way(each) for each in by_number.values()]

    @property
    def winner(self) -> Way | None:
        """The way that was chosen; of several, the one on which the stream began."""
        return next((way for way in self.ways if way.chosen and way is not self.moved_to), None)

    @property
    def moved_to(self) -> Way | None:
        """The way that the stream has moved to."""
        if self.moved is None:
            return None
        number = self.field(What.MOVED, "way")
        return next((way for way in self.ways if way.number == number), None)


def _text(event: Event, name: str) -> str:
    value = event.fields.get(name)
    return "" if value is None else str(value)
