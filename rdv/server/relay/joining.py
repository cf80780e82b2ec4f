"""
Answers the two clients of a pair, and joins their legs as one connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from twisted.internet.interfaces import IReactorTime

from rdv._flows.flow import Flow
from rdv._flows.joint import Joint
from rdv._transport.prompt import hasten
from rdv.server.leg import Leg
from rdv.server.ports import Ports
from rdv.wire import switching_protocols

if TYPE_CHECKING:
    from rdv._flows.kernel.takeover import Splicer
    from rdv.server.relay.limits import Relaying
    from rdv.server.relay.pair import Pair

__all__ = ["PairOwner", "Tap", "idle_time", "join", "tell"]

#: Idle times in seconds for strangers, and for clients with a known user.
_STRANGERS, _KNOWN = 600.0, 3600.0
#: Called with each piece of data in one direction as it passes.
Tap: TypeAlias = Callable[[bytes], object]


def join(pair: Pair, owner: PairOwner) -> Joint:
    """Join the legs, the dialer's first. No data is moved before ``begin`` is called."""
    limits = owner.relaying.flow_limits(pair)
    legs = (pair.dialer, pair.acceptor)
    one, other = (leg.transport for leg in legs)
    there = Flow(one, other, pair.tap_dialer, limits[0])
    back = Flow(other, one, pair.tap_acceptor, limits[1])
    return Joint(owner.clock, legs, (there, back))


def idle_time(wanted: float | None, user: str | None) -> float:
    """
    How long a pair may be silent.

    :param wanted: the operator's setting; None if there is none.
    :param user: the user of one of the two clients; None if unknown.
    """
    if wanted is not None:
        return wanted
    return _STRANGERS if user is None else _KNOWN


class PairOwner(Protocol):
    """The owner of pairs, and what they share."""

    clock: IReactorTime
    splicer: Splicer | None
    relaying: Relaying
    ports: Ports

    def pair_joined(self, pair: Pair) -> None:
        """Both lines have arrived."""

    def pair_ended(self, pair: Pair) -> None:
        """Both connections are closed, or have another owner."""


def tell(leg: Leg, peer: Leg, ports: Ports, relays: bool) -> None:
    """
    Tell a client about its peer, in one write.

    :param ports: the ports of the server.
    :param relays: whether the server relays.
    """
    hasten(leg.transport)
    others = ports.beside(leg.transport)
    leg.transport.write(
        switching_protocols(leg.observed, peer.candidates, others, has_relay=relays)
    )
