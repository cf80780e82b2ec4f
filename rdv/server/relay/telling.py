"""
The 101 of a client whose peer has come.
"""

from __future__ import annotations

from rdv._transport.prompt import hasten
from rdv.server.leg import Leg
from rdv.server.ports import Ports
from rdv.wire import switching_protocols

__all__ = ["tell"]


def tell(leg: Leg, peer: Leg, ports: Ports, relays: bool) -> None:
    """
    Tell a client about its peer, in one write.

    :param ports: those of the server.
    :param relays: whether the server relays.
    """
    hasten(leg.transport)
    others = ports.beside(leg.transport)
    leg.transport.write(
        switching_protocols(leg.observed, peer.candidates, others, has_relay=relays)
    )
