"""
The two legs of a pair as one connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime

from rdv._flows.flow import Flow
from rdv._flows.joint import Joint
from rdv._flows.rate import Limit
from rdv.server.leg import Leg

__all__ = ["Tap", "join"]

#: Sees each piece of one direction as it passes.
Tap: TypeAlias = Callable[[bytes], object]


def join(
    clock: IReactorTime,
    legs: tuple[Leg, Leg],
    taps: tuple[Tap | None, Tap | None],
    limits: tuple[Limit | None, Limit | None],
    gone: Callable[[Joint], object],
) -> Joint:
    """
    Join them; nothing moves before it is told to begin.

    :param taps: for what comes from each of the legs.
    :param limits: likewise.
    :param gone: see :class:`Joint`.
    """
    one, other = (leg.transport for leg in legs)
    there = Flow(one, other, taps[0], limits[0])
    back = Flow(other, one, taps[1], limits[1])
    return Joint(clock, legs, (there, back), gone)
