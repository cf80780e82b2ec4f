"""
When the two clients of a pair are told: at the same moment, as they see it.

Each client's first SYN opens the NAT on its own side, and has to leave before the other one's
arrives there. So the 101 of the client that is nearer to the server is held back until that of the
farther one is as far from its destination, by the round trips that the kernel knows. Where one is
unknown, or a proxy's, both are told at once.
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

#: Seconds that a client is held back at most. One-way delays on the ground do not differ by more.
#: What does comes from the farther client's own link, over a satellite say, which its way to its
#: peer has as well, so that the SYNs cross all the same; or from a handshake that lost a packet,
#: which tells nothing.
LONGEST_HOLD = 0.25
#: Seconds below which it is not worth a timer: the reactor is no more exact.
SHORTEST_HOLD = 0.001


class Hold(NamedTuple):
    """Which of two legs is told later than the other one, and by how many seconds."""

    near: Leg
    far: Leg
    seconds: float


def hold_back(one: Leg, other: Leg) -> Hold | None:
    """
    Look at the round trips to two clients.

    :return: None when both are to be told at once: they are equally far, or how far one of them is
        cannot be known.
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
    """None, too, when it would be that to a proxy: the connection is not the client's own."""
    if leg.trip:
        return leg.trip
    trip = round_trip(leg.transport)
    # From where a port of Twisted has accepted it.
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
    While the farther one has been told and the nearer one not: to that client nothing has happened
    yet. The pair starts when its time comes, or when the farther one speaks, who has its 101 then.
    One that speaks or leaves before that breaks it off.

    :param broken_off: called with the pair, the leg in question, and the one that has been told;
        gives both another owner.
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
        if self.pair.outcome is not None or (spoke and leg is self._far):  # it was cut, or is due
            self.pair.start(self._far)
        else:
            self.pair.explain(EndReason.WRONG_LINE if spoke else lost(leg))
            self._broken_off(self.pair, leg, self._far)
