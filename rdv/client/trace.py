"""
What happens in an attempt, as events: for a person who wants to know why it came out as it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

__all__ = ["Event", "Trace", "Tracer", "What"]

log = Logger()


class What(StrEnum):
    """What has happened. The fields of each event are named behind it."""

    #: An attempt: ``role``, ``server``, ``port`` (the local one).
    BEGUN = "begun"
    #: The server has been reached, and has our request.
    ASKED = "asked"
    #: It has named the peer: ``observed``, ``peer_addresses``.
    MET = "met"
    #: There is a connection: ``path`` (``relay`` or ``p2p``), ``peer``.
    CONNECTED = "connected"
    #: There is none: ``reason``.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """
    :ivar time: seconds, by the reactor's clock.
    :ivar attempt: the number of the attempt, counted by the client from 1 on. A server that says
        that nobody came is asked again in another one.
    :ivar what: what has happened.
    :ivar fields: the details; see :class:`What`.
    """

    time: float
    attempt: int
    what: What
    fields: Mapping[str, object] = field(default_factory=dict)

    def record(self) -> dict[str, object]:
        """The event as JSON can say it; ``what`` is called ``event`` there."""
        fields = {name: _plain(value) for name, value in self.fields.items()}
        return {"event": self.what.value, "time": self.time, "attempt": self.attempt, **fields}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value)


#: Is called with each event, at once. An exception is logged, and changes nothing.
Trace: TypeAlias = Callable[[Event], object]


class Tracer:
    """
    Tells of one attempt.

    :param traces: who is told.
    """

    __slots__ = ("_attempt", "_clock", "_traces")

    def __init__(self, clock: IReactorTime, attempt: int, traces: tuple[Trace, ...]) -> None:
        self._clock = clock
        self._attempt = attempt
        self._traces = traces

    def __call__(self, what: What, **fields: object) -> None:
        """It has happened now."""
        event = Event(self._clock.seconds(), self._attempt, what, fields)
        for trace in self._traces:
            try:
                trace(event)
            except Exception:
                log.failure("a trace failed at {what}", what=what.value)
