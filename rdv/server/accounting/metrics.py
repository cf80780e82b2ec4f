"""
The names of a server's metrics, and how the metrics of several processes are added.

A :data:`Sample` holds all metrics of one process, or the sum of several. It contains only text and
numbers, because it is sent through a pipe as JSON. Names and units follow Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

__all__ = [
    "COUNTER",
    "GAUGE",
    "HISTOGRAM",
    "METRICS",
    "NO_LABELS",
    "Metric",
    "Sample",
    "added",
    "lasting",
]

#: Numbers by the name of a metric, and then by the values of its labels, joined by blanks. A
#: histogram has, for each bound, the number of values above the previous bound, and ``sum``.
Sample: TypeAlias = dict[str, dict[str, float]]

#: The key of a metric without labels.
NO_LABELS = ""

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Metric(NamedTuple):
    """
    A metric.

    :ivar name: without the ``_total`` of a counter.
    :ivar kind: ``counter``, ``gauge`` or ``histogram``.
    :ivar labels: label names. Their values are from a small set, and never text from a client.
    """

    name: str
    kind: str
    text: str
    labels: Sequence[str] = ()


METRICS = (
    Metric("rdv_requests", COUNTER, "Clients that were admitted.", ("role",)),
    Metric("rdv_refusals", COUNTER, "Clients that were refused.", ("status", "reason")),
    Metric(
        "rdv_observed_addresses",
        COUNTER,
        "Clients by the kind of their observed address.",
        ("kind",),
    ),
    Metric("rdv_limit_hits", COUNTER, "Clients that exceeded a limit.", ("limit",)),
    Metric("rdv_clients_waiting", GAUGE, "Clients that are waiting for their peer.", ("role",)),
    Metric("rdv_pairs", GAUGE, "Pairs that are choosing a path, or are relayed.", ("state",)),
    Metric("rdv_matches", COUNTER, "Pairs that were introduced."),
    Metric("rdv_outcomes", COUNTER, "Pairs that have ended, by outcome.", ("outcome",)),
    Metric("rdv_pair_ends", COUNTER, "Pairs that have ended, by reason.", ("reason",)),
    Metric(
        "rdv_relayed_bytes",
        COUNTER,
        "Relayed bytes of streams, by sender.",
        ("sender",),
    ),
    Metric("rdv_wait_seconds", HISTOGRAM, "How long the first client of a pair waited."),
    Metric("rdv_relay_duration_seconds", HISTOGRAM, "How long relayed pairs lasted."),
    Metric(
        "rdv_relayed_pair_bytes", HISTOGRAM, "Bytes of relayed pairs, in both directions together."
    ),
    Metric("rdv_hook_duration_seconds", HISTOGRAM, "How long the serve hook took for a pair."),
    Metric("rdv_draining", GAUGE, "Whether the process is draining.", ("worker",)),
    Metric("rdv_open_descriptors", GAUGE, "Descriptors in use.", ("worker",)),
    Metric("rdv_max_descriptors", GAUGE, "Limit on descriptors.", ("worker",)),
    Metric("rdv_cpu_seconds", COUNTER, "User and system CPU time.", ("worker",)),
    Metric("rdv_resident_memory_bytes", GAUGE, "Resident memory.", ("worker",)),
    Metric("rdv_worker_up", GAUGE, "Whether the worker responded.", ("worker",)),
    Metric("rdv_worker_restarts", COUNTER, "Workers that died and were restarted."),
    Metric(
        "rdv_certificate_expiry_timestamp_seconds",
        GAUGE,
        "When the first certificate expires, in seconds since 1970.",
    ),
    Metric("rdv_start_time_seconds", GAUGE, "When the server started, in seconds since 1970."),
    Metric("rdv_build_info", GAUGE, "Always 1.", ("version", "python", "twisted")),
)

_KINDS = {metric.name: metric.kind for metric in METRICS}
#: Gauges of which the lowest value of all processes is taken instead of the sum.
_LEAST = {"rdv_certificate_expiry_timestamp_seconds", "rdv_start_time_seconds"}


def added(samples: Iterable[Sample]) -> Sample:
    """The sum of the samples of several processes."""
    total: Sample = {}
    for sample in samples:
        for name, values in sample.items():
            into = total.setdefault(name, {})
            for labels, value in values.items():
                before = into.get(labels)
                if before is None:
                    into[labels] = value
                else:
                    into[labels] = min(before, value) if name in _LEAST else before + value
    return total


def lasting(sample: Sample) -> Sample:
    """The part of a sample that outlasts its process: counts, which never fall."""
    return {name: values for name, values in sample.items() if _KINDS.get(name) != GAUGE}
