"""
The history of some metrics over the last hour.
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
    Past samples, in columns with one number per sample.

    :param seconds: a monotonic clock: the distances between samples stay correct.
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
        """Keep the relevant part of a sample."""
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
        The whole history, the oldest first, with times in seconds since 1970. Counts start with the
        server.
        """
        if not self._looks:
            return {}
        columns = {name: [look[name] for look in self._looks] for name in self._looks[0]}
        began = self._date() - self._seconds()
        columns["time"] = [round(began + seconds, 1) for seconds in columns["time"]]
        return columns
