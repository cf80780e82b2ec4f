"""
The two legs of a pair as one connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from rdv._flows.flow import Flow
from rdv._flows.joint import Joint

if TYPE_CHECKING:
    from rdv.server.relay.pair import Pair
    from rdv.server.relay.pair_owner import PairOwner

__all__ = ["Tap", "join"]

#: Sees each piece of one direction as it passes.
Tap: TypeAlias = Callable[[bytes], object]


def join(pair: Pair, owner: PairOwner, gone: Callable[[Joint], object]) -> Joint:
    """
    Join them, the dialer first; nothing moves before it is told to begin.

    :param gone: see :class:`Joint`.
    """
    limits = owner.relaying.flow_limits(pair)
    legs = (pair.dialer, pair.acceptor)
    one, other = (leg.transport for leg in legs)
    there = Flow(one, other, pair.tap_dialer, limits[0])
    back = Flow(other, one, pair.tap_acceptor, limits[1])
    return Joint(owner.clock, legs, (there, back), gone)
