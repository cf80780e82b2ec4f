"""
Refusing clients: they are told, and so are the log and the counters.
"""

from __future__ import annotations

from rdv.server.accounting.notes import note_client
from rdv.server.accounting.statistics import Statistics
from rdv.server.closing.legs import ClosingLegs
from rdv.server.leg import Leg
from rdv.server.limits.admission import refusal_of
from rdv.server.limits.numbers import Limit
from rdv.server.relay.pair import Pair
from rdv.wire import RETRY_AFTER

__all__ = ["Refusing"]


class Refusing:
    """
    Refuses the clients of a rendezvous.

    :param closing_legs: who owns them from then on.
    """

    def __init__(self, statistics: Statistics, closing_legs: ClosingLegs) -> None:
        self._statistics = statistics
        self._closing_legs = closing_legs

    def refuse(self, leg: Leg, status: int, reason: str, later: int = RETRY_AFTER) -> None:
        """One; see :meth:`ClosingLegs.refuse`."""
        note_client("refused", leg, status=status, reason=reason)
        self._statistics.refused(status, reason)
        self._closing_legs.refuse(leg, status, reason, later)

    def refuse_both(self, pair: Pair, status: int, reason: str) -> None:
        """Both of a pair, which is over."""
        self.refuse(pair.dialer, status, reason)
        self.refuse(pair.acceptor, status, reason)
        pair.conclude()

    def may(self, limit: Limit, leg: Leg) -> bool:
        """Whether a limit leaves room for a client. If not, it is refused."""
        if leg.lease.may(limit, leg.observed):
            return True
        self.refuse(leg, *refusal_of(limit))
        return False
