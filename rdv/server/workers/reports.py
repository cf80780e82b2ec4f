"""
Passes a worker's log events to the log of its parent: a line of JSON for each event.
"""

from __future__ import annotations

from twisted.logger import LogEvent, eventAsJSON, eventAsText, eventFromJSON

__all__ = ["report", "reported"]

#: What an event keeps whose failure has become text.
_KEPT = ("log_level", "log_namespace", "log_system", "log_time")


def report(event: LogEvent) -> str:
    """An event as a line, without its end."""
    if event.get("log_failure") is not None:
        # Of an exception JSON keeps the type, but not what it says.
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        kept = {name: event[name] for name in _KEPT if name in event}
        event = {**kept, "log_format": "{text}", "text": text}
    return eventAsJSON(dict(event))


def reported(line: str, worker: int) -> LogEvent:
    """
    The event of a line, with the number of its worker: in ``worker`` and before its system.

    :raises ValueError: when the line is not whole, or is no event.
    """
    try:
        event = eventFromJSON(line)
    except (LookupError, TypeError, AttributeError, RecursionError):  # JSON of something else
        raise ValueError("no event") from None
    if not isinstance(event, dict):
        raise ValueError("no event")
    level = getattr(event.get("log_level"), "name", "-")
    system = event.get("log_system") or f"{event.get('log_namespace', '-')}#{level}"
    return {**event, "worker": worker, "log_system": f"worker {worker}, {system}"}
