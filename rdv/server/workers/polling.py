"""
Collects the counters of all workers in their parent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rdv._observer import OneShotObserver
from rdv.server.accounting.metrics import NO_LABELS, Sample, added, lasting

__all__ = ["Polling", "decode", "encode"]

log = Logger()

#: Seconds that workers have for an answer. Those without one are left out.
_PATIENCE = 1.0
#: Seconds between two questions without a request.
_PERIOD = 1.0


def encode(sample: Sample) -> str:
    """An answer, as a line without its newline."""
    return json.dumps(sample)


def decode(line: bytes) -> Sample:
    """
    Parse an answer.

    :raises ValueError: when it is invalid.
    """
    try:
        sample = json.loads(line)
    except RecursionError:
        raise ValueError("no numbers") from None
    if not (isinstance(sample, dict) and all(map(_is_metric, sample.values()))):
        raise ValueError("no numbers")
    return cast(Sample, sample)


def _is_metric(values: object) -> bool:
    return isinstance(values, dict) and all(
        isinstance(each, int | float) for each in values.values()
    )


class Polling:
    """
    Asks all workers on request, once for simultaneous requests.

    The counters of a worker stay in the sum when it does not answer, or has ended: no count ever
    falls. The workers may therefore be asked once a second even without a request: if one dies,
    only its counts since then are lost. (Counters in memory that outlasts the worker would make
    each count more expensive, and would not include the pairs that are lost with it either.)

    :param ask: tells all workers to answer.
    :param serving: returns the workers that serve now.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[], object],
        serving: Callable[[], Collection[int]],
        count: int,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._serving = serving
        self._count = count
        self._gone: Sample = {}
        self._last: dict[int, Sample] = {}
        self._missing: set[int] = set()
        self._polling: OneShotObserver[Sample] | None = None
        self._timer: IDelayedCall | None = None
        self._deaths = 0
        self._asking = LoopingCall(self.sample)
        self._asking.clock = clock

    def start(self) -> None:
        """Start asking regularly."""
        self._asking.start(_PERIOD)

    def stop(self) -> None:
        """Ask only on request from now on. Does nothing when that is already so."""
        if self._asking.running:
            self._asking.stop()

    def sample(self) -> Deferred[Sample]:
        """
        The sum of all workers' counters.

        :return: fires within about a second. Cancelling it has no effect on the question.
        """
        if self._polling is None:
            polling: OneShotObserver[Sample] = OneShotObserver()
            self._polling = polling
            self._missing = set(self._serving())
            self._timer = self._clock.callLater(_PATIENCE, self._finish)
            self._ask()
            self._check()
            return polling.when_fired()
        return self._polling.when_fired()

    def answered(self, index: int, line: bytes) -> None:
        """A worker has answered, possibly late."""
        try:
            self._last[index] = decode(line)
        except ValueError:
            log.error("worker {worker} cannot report its counts", worker=index)
            return
        self._missing.discard(index)
        self._check()

    def ended(self, index: int, *, died: bool) -> None:
        """
        A worker has ended.

        :param died: whether this was unexpected, so that it is restarted.
        """
        self._deaths += died
        self._gone = added([self._gone, lasting(self._last.pop(index, {}))])
        self._missing.discard(index)
        self._check()

    def _check(self) -> None:
        if self._polling is not None and not self._missing:
            self._finish()

    def _finish(self) -> None:
        assert self._polling is not None
        assert self._timer is not None
        if self._timer.active():
            self._timer.cancel()
        polling, self._polling = self._polling, None
        polling.fire(self._sum())

    def _sum(self) -> Sample:
        silent = self._missing
        samples = [
            lasting(sample) if index in silent else sample for index, sample in self._last.items()
        ]
        up = {str(index): 0.0 for index in range(self._count)}
        total = added([self._gone, *samples])
        total["rdv_worker_up"] = {**up, **total.get("rdv_worker_up", {})}
        total["rdv_worker_restarts"] = {NO_LABELS: self._deaths}
        return total
