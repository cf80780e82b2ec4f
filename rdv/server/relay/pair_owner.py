"""
What a pair knows of its rendezvous.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from rdv._flows.kernel.takeover import Splicer
from rdv.server.ports import Ports
from rdv.server.relay.limits import Relaying
from rdv.server.relay.pair import Pair

__all__ = ["PairOwner"]


class PairOwner(Protocol):
    """Whose pairs they are, and what they share."""

    clock: IReactorTime
    splicer: Splicer | None
    relaying: Relaying
    ports: Ports

    def pair_joined(self, pair: Pair) -> None:
        """Both lines have come."""

    def pair_ended(self, pair: Pair) -> None:
        """Both connections are gone, or have another owner."""
