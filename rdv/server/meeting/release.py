"""
Answers both clients of a pair at the same moment, as they see it.

Each client's first SYN opens its own NAT, and must leave before the other's arrives. The 101 of the
nearer client is therefore delayed by half the difference of the two round-trip times, as measured
by the kernel. If one of them is unknown, or is that of a proxy, both are answered immediately.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime

from rdv._system.sockets import bottom
from rdv._system.tcp_info import round_trip
from rdv.addresses import canonical_address, endpoint_text
from rdv.server.leg import Leg
from rdv.server.meeting.interlude import Interlude
from rdv.server.relay.outcome import EndReason, lost
from rdv.server.relay.pair import Pair

__all__ = ["LONGEST_HOLD", "SHORTEST_HOLD", "HeldBack", "Hold", "hold_back"]

#: The maximum delay in seconds. One-way delays on the ground do not differ by more. A larger
#: difference comes from the farther client's own link, for example over a satellite, which its path
#: to the peer shares, so that the SYNs cross all the same; or from a handshake that lost a packet,
#: which says nothing.
LONGEST_HOLD = 0.25
#: A delay below this many seconds is not worth a timer: the reactor is no more precise.
SHORTEST_HOLD = 0.001


class Hold(NamedTuple):
    """Which of two legs is answered later than the other, and by how many seconds."""

    near: Leg
    far: Leg
    seconds: float


def hold_back(one: Leg, other: Leg) -> Hold | None:
    """
    Compare the round-trip times of two clients.

    :return: None if both are to be answered immediately: they are equally far, or the distance of
        one of them is unknown.
    """
    one_trip, other_trip = _round_trip(one), _round_trip(other)
    if one_trip is None or other_trip is None:
        return None
    seconds = min(abs(one_trip - other_trip) / 2, LONGEST_HOLD)
    if seconds < SHORTEST_HOLD:
        return None
    near, far = (one, other) if one_trip < other_trip else (other, one)
    return Hold(near, far, seconds)


def _round_trip(leg: Leg) -> float | None:
    """The client's round-trip time; None if unknown, or if the connection is that of a proxy."""
    if leg.trip:
        return leg.trip
    trip = round_trip(leg.transport)
    # The peer address that Twisted's port got when it accepted the connection.
    client: tuple[Any, ...] | None = getattr(bottom(leg.transport), "client", None)
    if trip is None or client is None:
        return None
    try:
        here = endpoint_text(*client[:2])
        is_own = leg.observed == here or canonical_address(leg.observed) == here
    except ValueError:  # there is no observed address
        return None
    return trip if is_own else None


class HeldBack(Interlude):
    """
    Owns both legs while only the farther client has been answered; the nearer one does not know
    anything yet. The pair starts when the delay is over, or when the farther client sends data,
    because it has its 101 then. If the nearer client sends data before that, or either of them
    leaves, the pair is broken off.

    :param broken_off: called with the pair, the leg in question, and the leg that has been
        answered; gives both another owner.
    """

    def __init__(
        self,
        clock: IReactorTime,
        pair: Pair,
        hold: Hold,
        broken_off: Callable[[Pair, Leg, Leg], object],
    ) -> None:
        super().__init__(pair)
        self._far = hold.far
        self._broken_off = broken_off
        self._call = clock.callLater(hold.seconds, pair.start, hold.far)
        pair.tell(hold.far)

    def interrupt(self, leg: Leg, *, spoke: bool) -> None:
        self._call.cancel()
        # It was cut, or starts early.
        if self.pair.outcome is not None or (spoke and leg is self._far):
            self.pair.start(self._far)
        else:
            self.pair.explain(EndReason.WRONG_LINE if spoke else lost(leg))
            self._broken_off(self.pair, leg, self._far)
