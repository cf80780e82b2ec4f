"""
Summarises what the limits per address do: a client that is refused a thousand times a second does
not get a line each time.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rdv.server.limits.admission import Admission

__all__ = ["Summary"]

log = Logger()

#: Seconds between two summaries.
_INTERVAL = 60.0


class Summary:
    """
    Logs a line once a minute for each limit that has refused clients, and one for each address that
    is newly treated as a proxy.
    """

    def __init__(self, clock: IReactorTime, admission: Admission) -> None:
        self._admission = admission
        self._proxies: set[str] = set()
        self._loop = LoopingCall(self._tell)
        self._loop.clock = clock

    def start(self) -> None:
        """Start."""
        self._loop.start(_INTERVAL, now=False)

    def stop(self) -> None:
        """Log what has not been logged yet, and stop. Does nothing when it does not run."""
        if self._loop.running:
            self._loop.stop()
            self._tell()

    def _tell(self) -> None:
        for hits in self._admission.hits.take():
            log.warn(
                "{limit}: {refused} refused within a minute, most often: {worst}",
                event="limit",
                limit=hits.limit,
                refused=hits.refused,
                worst=", ".join(f"{address} ({count})" for address, count in hits.worst),
            )
        proxies = set(self._admission.proxies)
        for address in proxies - self._proxies:
            log.warn(
                "{address} seems to be a proxy that hides its clients: it is not limited",
                event="proxy",
                address=address,
            )
        self._proxies = proxies  # few, and dropped when their clients stop coming
