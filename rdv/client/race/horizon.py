"""
How long the relay waits for a direct path that is established without packet loss.

All figures are in round trips. A direct connection between the peers is established half a round
trip after the relay is ready, or one if the other side opens it, and its handshake is complete at
most one round trip later. The relay is ready half a round trip after the server's answer, so that
time can be measured. The round trip to the server is another hint, for the case in which only one
peer is far from the server.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["HANDSHAKE_TIME", "Sight", "handshake_time", "horizon"]

#: Seconds for systems and programs, in addition to round trips: if a later path can still be used,
#: and if it would be missed.
_QUICK, _CAREFUL = 0.01, 0.1
#: Minimum seconds, including round trips: nobody notices them, and in a LAN the programs take most
#: of the time.
_LEAST = 0.03
#: A round trip, to the server or between the peers, with an allowance for jitter.
_TRIPS = 1.25
#: The round trip to the server, in seconds, if the system does not report it.
_UNKNOWN = 0.1
#: Seconds for the handshake of a direct connection, during which the relay does not win.
HANDSHAKE_TIME = 1.0


class Sight(NamedTuple):
    """
    What is known when the relay is ready.

    :ivar to_server: the round trip to the server, in seconds; None if the system does not report
        it.
    :ivar since_answer: seconds since the server's answer.
    :ivar can_move: whether the stream can also use a path that is established later.
    :ivar ports_change: whether either side is behind a NAT that changes ports.
    """

    to_server: float | None
    since_answer: float
    can_move: bool
    ports_change: bool


def horizon(sight: Sight) -> float:
    """
    The maximum seconds that the relay waits; ``math.inf`` if the penalty alone decides.

    A stream that can move waits for the round trip to the server: in that time, a direct path is
    established if the server lies in the middle. If a NAT changes ports, a direct path is either
    guessed immediately or not at all, so the relay does not wait for the second after which a lost
    SYN is repeated.
    """
    to_server = _UNKNOWN if sight.to_server is None else sight.to_server
    if sight.can_move:
        return _trip_and_a_bit(to_server)
    if sight.ports_change:
        return _CAREFUL + _TRIPS * max(to_server, 2 * sight.since_answer)
    return math.inf


def handshake_time(trip: float | None, *, can_move: bool) -> float:
    """
    Seconds that a direct connection has for its handshake before the relay wins.

    :param trip: its round trip, if that is known.
    """
    if not can_move or trip is None:
        return HANDSHAKE_TIME
    return min(HANDSHAKE_TIME, _trip_and_a_bit(trip))


def _trip_and_a_bit(trip: float) -> float:
    return max(_TRIPS * trip, trip + _QUICK, _LEAST)
