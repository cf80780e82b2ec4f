"""
Passes a worker's log events to the log of its parent: a line of JSON for each event.
"""

from __future__ import annotations

from twisted.logger import LogEvent, eventAsJSON, eventAsText, eventFromJSON

__all__ = ["report", "reported"]

#: The fields that an event keeps when its failure is converted to text.
_KEPT = ("log_level", "log_namespace", "log_system", "log_time")


def report(event: LogEvent) -> str:
    """An event as a line, without its newline."""
    if event.get("log_failure") is not None:
        # JSON would keep the type of an exception, but not its message.
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        kept = {name: event[name] for name in _KEPT if name in event}
        event = {**kept, "log_format": "{text}", "text": text}
    return eventAsJSON(dict(event))


def reported(line: str, worker: int) -> LogEvent:
    """
    The event of a line, with the number of its worker: in ``worker`` and before its system.

    :raises ValueError: when the line is incomplete, or not an event.
    """
    try:
        event = eventFromJSON(line)
    except (LookupError, TypeError, AttributeError, RecursionError):  # other JSON
        raise ValueError("no event") from None
    if not isinstance(event, dict):
        raise ValueError("no event")
    level = getattr(event.get("log_level"), "name", "-")
    system = event.get("log_system") or f"{event.get('log_namespace', '-')}#{level}"
    return {**event, "worker": worker, "log_system": f"worker {worker}, {system}"}
