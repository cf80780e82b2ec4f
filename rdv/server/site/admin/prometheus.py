"""
Formats a sample for Prometheus. The library for this is an extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rdv.server.accounting.metrics import COUNTER, HISTOGRAM, METRICS, NO_LABELS, Sample

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["MISSING", "exposition", "is_available"]

#: The message when it is not installed.
MISSING = "/metrics needs the package prometheus-client: pip install txrdv[metrics]"


def is_available() -> bool:
    """Whether the library is installed."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        return False
    return True


def exposition(sample: Sample, accept: str) -> tuple[bytes, str]:
    """
    A sample as text, in the format that the ``Accept`` header of a request selects.

    :return: the text, and its content type.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(sample))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector:
    """Passes the sample to the library."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def describe(self) -> list[Metric]:
        """See :class:`prometheus_client.registry.Collector`: there is no other collector."""
        return []

    def collect(self) -> Iterator[Metric]:
        """See :class:`prometheus_client.registry.Collector`."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for metric in METRICS:
            values = self._sample.get(metric.name)
            if values is None:
                continue
            if metric.kind == HISTOGRAM:
                histogram = HistogramMetricFamily(metric.name, metric.text)
                histogram.add_metric([], _buckets(values), values.get("sum", 0.0))
                yield histogram
                continue
            family = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
            found = family(metric.name, metric.text, labels=metric.labels)
            for labels, value in values.items():
                # Only the last label value may contain blanks.
                parts = labels.split(" ", len(metric.labels) - 1) if labels != NO_LABELS else []
                found.add_metric(parts, value)
            yield found


def _buckets(values: dict[str, float]) -> list[tuple[str, float]]:
    """For each bound, the number of values up to it."""
    bounds = sorted((bound for bound in values if bound != "sum"), key=float)
    total = 0.0
    found = []
    for bound in bounds:
        total += values[bound]
        found.append((bound, total))
    return found
