"""
How some numbers have been in the last hour.
"""

from __future__ import annotations

from collections import deque

from rdv.server.accounting.metrics import Sample

__all__ = ["SECONDS_BETWEEN", "History"]

#: Seconds between two looks, and how many are kept.
SECONDS_BETWEEN = 10.0
_LOOKS = 360

_OUTCOMES = ("direct", "relayed", "failed", "abandoned")


class History:
    """
    What has been, a number for each look in columns.
    """

    def __init__(self) -> None:
        self._looks: deque[dict[str, float]] = deque(maxlen=_LOOKS + 1)

    def add(self, time: float, sample: Sample) -> None:
        """
        Keep what counts of a look.

        :param time: when it was, in seconds since 1970.
        """
        outcomes = sample.get("rdv_outcomes", {})
        self._looks.append(
            {
                "time": round(time, 1),
                **{name: outcomes.get(name, 0) for name in _OUTCOMES},
                "bytes": sum(sample.get("rdv_relayed_bytes", {}).values()),
                "waiting": sum(sample.get("rdv_clients_waiting", {}).values()),
                "pairs": sum(sample.get("rdv_pairs", {}).values()),
                "refused": sum(sample.get("rdv_refusals", {}).values()),
            }
        )

    def columns(self) -> dict[str, list[float]]:
        """All of it, the oldest first. Counts are from the server's start on."""
        if not self._looks:
            return {}
        return {name: [look[name] for look in self._looks] for name in self._looks[0]}
