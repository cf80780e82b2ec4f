"""
How some numbers have been in the last hour.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rdv.server.accounting.metrics import Sample

__all__ = ["SECONDS_BETWEEN", "History"]

#: Seconds between two looks, and how many are kept.
SECONDS_BETWEEN = 10.0
_LOOKS = 360

_OUTCOMES = ("direct", "relayed", "failed", "abandoned")


class History:
    """
    What has been, a number for each look in columns.

    :param seconds: a clock that is never set: looks stay as far apart as they were.
    :param date: the time in seconds since 1970.
    """

    def __init__(
        self,
        seconds: Callable[[], float] = time.monotonic,
        date: Callable[[], float] = time.time,
    ) -> None:
        self._seconds = seconds
        self._date = date
        self._looks: deque[dict[str, float]] = deque(maxlen=_LOOKS + 1)

    def add(self, sample: Sample) -> None:
        """Keep what counts of a look."""
        outcomes = sample.get("rdv_outcomes", {})
        self._looks.append(
            {
                "time": self._seconds(),
                **{name: outcomes.get(name, 0) for name in _OUTCOMES},
                "bytes": sum(sample.get("rdv_relayed_bytes", {}).values()),
                "waiting": sum(sample.get("rdv_clients_waiting", {}).values()),
                "pairs": sum(sample.get("rdv_pairs", {}).values()),
                "refused": sum(sample.get("rdv_refusals", {}).values()),
            }
        )

    def columns(self) -> dict[str, list[float]]:
        """
        All of it, the oldest first, with times in seconds since 1970. Counts are from the server's
        start on.
        """
        if not self._looks:
            return {}
        columns = {name: [look[name] for look in self._looks] for name in self._looks[0]}
        began = self._date() - self._seconds()
        columns["time"] = [round(began + seconds, 1) for seconds in columns["time"]]
        return columns
