"""
Limits for relayed pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from rdv import _knobs as knobs
from rdv._flows.rate import Limit, Limits, Quota, RateLimit
from rdv._flows.sharing import SharedRate
from rdv.server.relay.idle import IdleTimes
from rdv.server.relay.outcome import EndReason

if TYPE_CHECKING:
    from rdv.server.relay.pair import Pair

__all__ = ["RelayLimits", "Relaying"]


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """
    Bandwidth limits for relayed pairs (0 for no limit), and whether to relay at all.

    :ivar rate: bytes per second in each direction of a pair. A ``serve`` hook may set another rate
        and quota for its pair.
    :ivar total_rate: bytes per second for all pairs and both directions together. Pairs share it
        fairly.
    :ivar quota: bytes per pair, in both directions together. A pair that exceeds it is cut.
    :ivar allowed: whether to relay pairs that find no direct path.
    :raises TypeError: when one is of the wrong type; the message names it.
    :raises ValueError: when one is negative; likewise.
    """

    rate: float = 0.0
    total_rate: float = 0.0
    quota: float = 0
    allowed: bool = True

    def __post_init__(self) -> None:
        for name in ("rate", "total_rate"):
            knobs.number(name, getattr(self, name), "bytes a second")
        knobs.number("quota", self.quota, "bytes")
        knobs.instance("allowed", self.allowed, bool, "True or False")


class Relaying:
    """
    The limits and timers that the pairs of a rendezvous share.

    :param limits: None for no limits.
    :raises TypeError: when it is of another type.
    """

    def __init__(self, clock: IReactorTime, limits: RelayLimits | None) -> None:
        self._clock = clock
        self.idle_times = IdleTimes(clock)
        self._total: SharedRate | None = None
        limits = RelayLimits() if limits is None else limits
        self.use(knobs.instance("relay", limits, RelayLimits, "RelayLimits"))

    def use(self, limits: RelayLimits) -> None:
        """
        Change the limits, for pairs that are matched from now on. A new total rate also applies to
        the pairs that already share one, as long as there is a limit.
        """
        self.limits = limits
        if not limits.total_rate:
            self._total = None
        elif self._total is None:
            self._total = SharedRate(self._clock, limits.total_rate)
        else:
            self._total.use(limits.total_rate)

    def flow_limits(self, pair: Pair) -> tuple[Limit | None, Limit | None]:
        """The limits for the two flows of a pair. A pair that exceeds its quota is cut."""
        # Later, so that the pair is not cut while its flows are moving data.
        spent = partial(self._clock.callLater, 0, pair.abort, EndReason.QUOTA)
        common = Quota(pair.quota, spent) if pair.quota else None
        share = None if self._total is None else self._total.share()

        def of_one() -> Limit | None:
            limits: list[Limit] = [] if common is None else [common]
            if pair.rate_limit:
                limits.append(RateLimit(self._clock, pair.rate_limit))
            if share is not None:
                limits.append(share.limit())
            return Limits(limits) if len(limits) > 1 else next(iter(limits), None)

        return of_one(), of_one()
