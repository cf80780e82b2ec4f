"""
The events as lines of JSON, for programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rdv.client.trace import Event

__all__ = ["ndjson"]


def ndjson(events: Iterable[Event]) -> str:
    """One object a line, as :meth:`rdv.client.trace.Event.record` has it."""
    return "".join(json.dumps(event.record(), allow_nan=False) + "\n" for event in events)
