"""
The status of a server, for programs.
"""

from __future__ import annotations

from typing import Any

from rdv.server.accounting.metrics import NO_LABELS, Sample
from rdv.server.site.admin.history import History

__all__ = ["status_of"]


def status_of(sample: Sample, history: History, version: str, time: float) -> dict[str, Any]:
    """
    The contents of ``/status``, for JSON.

    :param version: of rdv.
    :param time: the current time, in seconds since 1970.
    """
    outcomes = sample.get("rdv_outcomes", {})
    chosen = outcomes.get("direct", 0) + outcomes.get("relayed", 0)
    up = sample.get("rdv_worker_up", {})
    return {
        "time": time,
        "version": version,
        "started": _value(sample, "rdv_start_time_seconds"),
        "draining": any(sample.get("rdv_draining", {}).values()),
        "waiting": sample.get("rdv_clients_waiting", {}),
        "pairs": sample.get("rdv_pairs", {}),
        "requests": sample.get("rdv_requests", {}),
        "matches": _value(sample, "rdv_matches"),
        "outcomes": outcomes,
        "direct_share": outcomes.get("direct", 0) / chosen if chosen else None,
        "ends": sample.get("rdv_pair_ends", {}),
        "relayed_bytes": sample.get("rdv_relayed_bytes", {}),
        "observed": sample.get("rdv_observed_addresses", {}),
        "refusals": sample.get("rdv_refusals", {}),
        "limit_hits": sample.get("rdv_limit_hits", {}),
        "workers": [_worker(sample, index) for index in sorted(up, key=int)],
        "worker_restarts": _value(sample, "rdv_worker_restarts") or 0,
        "certificate_expires": _value(sample, "rdv_certificate_expiry_timestamp_seconds"),
        "history": history.columns(),
    }


def _value(sample: Sample, name: str) -> float | None:
    return sample.get(name, {}).get(NO_LABELS)


def _worker(sample: Sample, index: str) -> dict[str, Any]:
    """The status of one process; values that it has not reported are None."""
    return {
        "worker": int(index),
        "up": bool(sample["rdv_worker_up"][index]),
        "draining": bool(sample.get("rdv_draining", {}).get(index)),
        "open_descriptors": sample.get("rdv_open_descriptors", {}).get(index),
        "max_descriptors": sample.get("rdv_max_descriptors", {}).get(index),
        "cpu_seconds": sample.get("rdv_cpu_seconds", {}).get(index),
        "resident_memory_bytes": sample.get("rdv_resident_memory_bytes", {}).get(index),
    }
