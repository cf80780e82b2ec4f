"""
The time from the match of two clients until both have been answered.
"""

from __future__ import annotations

from abc import abstractmethod

from twisted.python.failure import Failure

from rdv._flows.joint import LegOwner
from rdv.server.leg import Leg
from rdv.server.relay.pair import Pair

__all__ = ["Interlude"]


class Interlude(LegOwner[Leg]):
    """Owns both legs of a pair until one of the clients sends data or leaves."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        pair.dialer.owner = pair.acceptor.owner = self

    @abstractmethod
    def interrupt(self, leg: Leg, *, spoke: bool) -> None:
        """``leg`` has sent data or left. Gives both legs another owner, which is notified next."""

    def leg_received(self, leg: Leg, data: bytes) -> None:
        self.interrupt(leg, spoke=True)
        leg.owner.leg_received(leg, data)

    def leg_ended(self, leg: Leg) -> None:
        self.interrupt(leg, spoke=False)
        leg.owner.leg_ended(leg)

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        self.interrupt(leg, spoke=False)
        leg.owner.leg_lost(leg, reason)
