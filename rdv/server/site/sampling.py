"""
Samples the metrics of one process on request.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

from rdv._system.descriptors import in_use, limit
from rdv.server.accounting.metrics import NO_LABELS, Sample
from rdv.server.accounting.statistics import Histogram
from rdv.server.relay.outcome import Outcome
from rdv.server.rendezvous import Rendezvous
from rdv.wire import Role

__all__ = ["sample_of"]


def sample_of(rendezvous: Rendezvous) -> Sample:
    """
    All metrics of the process of ``rendezvous``. It takes some microseconds for each current client
    and pair.
    """
    counted = rendezvous.statistics
    present = rendezvous.present
    meeting = len(present.meeting)
    worker = str(rendezvous.worker or 0)
    return {
        "rdv_requests": {"dialer": counted.dialers, "acceptor": counted.acceptors},
        "rdv_refusals": {
            f"{status} {reason}": n for (status, reason), n in counted.refusals.items()
        },
        "rdv_observed_addresses": dict(counted.kinds),
        "rdv_limit_hits": dict(rendezvous.admission.hits.totals),
        "rdv_clients_waiting": {role.name.lower(): present.lobby.count(role) for role in Role},
        "rdv_pairs": {"meeting": meeting, "relayed": len(present.pairs) - meeting},
        "rdv_matches": {NO_LABELS: counted.matches},
        "rdv_outcomes": {each.value: counted.outcomes[each] for each in Outcome},
        "rdv_pair_ends": {reason.value: n for reason, n in counted.ends.items()},
        "rdv_relayed_bytes": {
            "dialer": counted.dialer_bytes + sum(pair.dialer_bytes for pair in present.pairs),
            "acceptor": counted.acceptor_bytes + sum(pair.acceptor_bytes for pair in present.pairs),
        },
        "rdv_wait_seconds": _histogram(counted.waits),
        "rdv_relay_duration_seconds": _histogram(counted.durations),
        "rdv_relayed_pair_bytes": _histogram(counted.sizes),
        "rdv_hook_duration_seconds": _histogram(counted.hook_times),
        "rdv_draining": {worker: int(rendezvous.closing)},
        "rdv_worker_up": {worker: 1},
        **_process(worker),
    }


def _histogram(histogram: Histogram) -> dict[str, float]:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return {**dict(zip(bounds, histogram.counts, strict=True)), "sum": histogram.sum}


def _process(worker: str) -> Sample:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    sample: Sample = {
        "rdv_cpu_seconds": {worker: usage.ru_utime + usage.ru_stime},
        "rdv_max_descriptors": {worker: limit()},
    }
    descriptors = in_use()
    if descriptors is not None:
        sample["rdv_open_descriptors"] = {worker: descriptors}
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
            sample["rdv_resident_memory_bytes"] = {worker: pages * resource.getpagesize()}
    return sample
