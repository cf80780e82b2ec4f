"""
Detects that the other side of a connection has vanished while a response from it is due.

TCP keepalive only works on a silent connection: it rests while anything is unacknowledged or
unsent, and the system then retries for a quarter of an hour. A limit for that
(``TCP_USER_TIMEOUT``) would also end connections whose other side is alive but does not read. What
Linux knows of a connection (``TCP_INFO``) distinguishes the two. Linux has no event for it, so all
connections of a reactor are checked together, every few seconds. Other systems have keepalive only.

Established connections are checked: those of a relayed pair and of a bridge, that of a
``Connection``, that of a client's request, and the local one of a forward. One timer serves all
connections of a reactor. A connection is lost with ``PeerVanished``, in the usual way, in two
cases: the system has retransmitted or probed several times, and no segment has arrived for as long
as keepalive would wait; or segments arrive, but the data in flight is not acknowledged although the
receiver has room: full segments do not get through. A receiver that has no room only stalls.
Clients in the lobby have keepalive only.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._system.sockets import KEEPALIVE_IDLE, bottom
from rdv._system.tcp_info import Reading, is_told, reading

__all__ = ["PeerVanished", "has_vanished", "unwatch", "watch"]

log = Logger()

#: Seconds without a response after which the other side counts as gone, and seconds between two
#: checks. Three checks may be needed, and all of it must take less than two minutes.
PATIENCE, INTERVAL = 100.0, 8.0
#: The share of it that may have passed before a response was due: as much as keepalive waits before
#: it probes.
_SILENT = KEEPALIVE_IDLE / PATIENCE
#: How many times the system must have retransmitted or probed in vain.
TRIES = 3
#: How many connections are checked in one turn of the reactor: a millisecond's work. (20,000 take
#: 50 milliseconds in total.)
_BATCH = 256


class PeerVanished(ConnectionAborted):
    """The other side no longer responds."""

    def __str__(self) -> str:
        return "the other side stopped responding"


def has_answered(then: Reading, now: Reading) -> bool:
    """
    Whether the data that we send still arrives.

    Any received segment is a sign of it if the receiver stalls: it may drop data in flight, which
    then has to wait. But data must be acknowledged if the receiver has room for it. If small
    segments get through and full ones do not, the path is of no use (RFC 2923, 2.1).
    """
    if now.acknowledged != then.acknowledged:
        return True
    if now.heard == then.heard:
        return False
    return not now.in_flight or now.window < now.segment


def has_vanished(then: Reading, now: Reading, seconds: float) -> bool:
    """
    Whether the other side has vanished.

    :param then: the reading when the other side last seemed to be there.
    :param now: ``seconds`` later.
    """
    if seconds < PATIENCE or has_answered(then, now):
        return False
    # Without a route nothing is retransmitted, but the timeouts still count.
    return now.probes + max(now.timeouts, now.repeated - then.repeated) >= TRIES


class _Watch:
    """The connections of one reactor that are checked. It exists while there are any."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._last: dict[Connection, tuple[float, Reading | None]] = {}
        self._due: list[Connection] = []
        self._call = clock.callLater(INTERVAL, self._begin)

    def add(self, connection: Connection) -> None:
        self._last[connection] = 0.0, None  # not read yet: many are gone before the first check

    def discard(self, connection: Connection) -> None:
        self._last.pop(connection, None)
        if not self._last:
            self._call.cancel()
            del _watches[self._clock]

    def _begin(self) -> None:
        self._due = list(self._last)
        self._go_on()

    def _go_on(self) -> None:
        now, self._due = self._due[:_BATCH], self._due[_BATCH:]
        # Scheduled first, so that ``discard`` can cancel it if the last connection leaves.
        if self._due:
            self._call = self._clock.callLater(0, self._go_on)
        else:
            self._call = self._clock.callLater(INTERVAL, self._begin)
        for connection in now:
            if connection in self._last:
                self._look(connection)

    def _look(self, connection: Connection) -> None:
        since, then = self._last[connection]
        now, time = reading(connection), self._clock.seconds()
        if now is None:  # closed by other code, or the system does not report it
            self.discard(connection)
        elif then is None or has_answered(then, now):
            self._last[connection] = time, now
        elif not now.in_flight and not now.probes:
            # No response is due, and keepalive has not probed. Only a part of this time may count:
            # the rest is for the response to what is sent next.
            self._last[connection] = max(since, time - _SILENT * PATIENCE), then
        elif has_vanished(then, now, time - since):
            self.discard(connection)
            try:
                connection.connectionLost(Failure(PeerVanished()))
            except Exception:
                log.failure("while the loss of {connection} was told", connection=connection)


_watches: dict[IReactorTime, _Watch] = {}


def watch(clock: IReactorTime, *transports: object) -> None:
    """
    Check established connections from time to time, each until :func:`unwatch`. A connection whose
    other side has vanished is reset, and its protocol gets :class:`PeerVanished`.

    Does nothing for transports other than Twisted TCP connections, nor where the system does not
    report on them.

    :param clock: the connections' reactor.
    :param transports: the connections, or wrappers around them.
    """
    for transport in transports:
        connection = bottom(transport)
        if isinstance(connection, Connection) and is_told(connection):
            if clock not in _watches:
                _watches[clock] = _Watch(clock)
            _watches[clock].add(connection)


def unwatch(clock: IReactorTime, transport: object) -> None:
    """Stop checking it, if it was checked. Call this at the latest when it is lost."""
    connection = bottom(transport)
    if clock in _watches and isinstance(connection, Connection):
        _watches[clock].discard(connection)
