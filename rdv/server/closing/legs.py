"""
Legs that have been answered and only need to close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rdv._deadlines import Deadlines
from rdv._flows.joint import LegOwner
from rdv.addresses import host_of
from rdv.server.accounting.notes import note_client
from rdv.server.accounting.statistics import Statistics
from rdv.server.descriptors.shedding import YOUNG, Holder
from rdv.server.leg import Leg
from rdv.server.limits.admission import refusal_of
from rdv.server.limits.numbers import Limit
from rdv.server.relay.pair import Pair
from rdv.wire import RETRY_AFTER, refusal

__all__ = ["ClosingLegs", "Refusing"]

#: Seconds that a refused client has to read the answer and close.
_LINGER = 5.0


class ClosingLegs(LegOwner[Leg]):
    """
    Owns refused legs. Further data from them is read and dropped: closing a socket with unread
    input would reset it, and the refusal might not arrive.

    :param ended: called whenever a leg has closed.
    """

    def __init__(self, clock: IReactorTime, ended: Callable[[], object]) -> None:
        self._clock = clock
        self._lingering: Deadlines[Leg] = Deadlines(clock, _LINGER, _cut)
        self._legs: set[Leg] = set()
        self._dropped: set[Leg] = set()
        self._ended = ended

    def __len__(self) -> int:
        return len(self._legs)

    def refuse(self, leg: Leg, status: int, reason: str, later: int = RETRY_AFTER) -> None:
        """
        Become the owner of ``leg``, answer with an HTTP error and end our direction. The client is
        expected to close.

        :param later: seconds after which the client may retry, if known.
        """
        self._adopt(leg)
        leg.transport.write(refusal(status, reason, later))
        leg.transport.loseWriteConnection()

    def close(self, leg: Leg) -> None:
        """Become the owner of ``leg``, and close it after the data that was written to it."""
        self._adopt(leg)
        leg.transport.loseConnection()

    def _adopt(self, leg: Leg) -> None:
        leg.owner = self
        leg.lease.leaves()
        self._legs.add(leg)
        self._lingering.add(leg)

    def abort(self) -> None:
        """Cut all legs."""
        for leg in list(self._legs):
            _cut(leg)

    def holders(self) -> Iterator[Holder]:
        """Legs that have not closed yet: dropping them only frees a descriptor."""
        now = self._clock.seconds()
        for leg, since in self._lingering.begun():
            if leg in self._dropped and now - since < YOUNG:
                continue  # it is being closed
            yield Holder(since, host_of(leg.observed), partial(self._drop, leg, since))

    def _drop(self, leg: Leg, since: float) -> bool:
        if self._clock.seconds() - since < YOUNG:
            self._dropped.add(leg)
            leg.transport.loseConnection()  # after the answer, if that has not been sent yet
        else:
            self._lingering.discard(leg)
            _cut(leg)
        return True

    def leg_ended(self, leg: Leg) -> None:
        leg.transport.loseConnection()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        self._legs.discard(leg)
        self._dropped.discard(leg)
        self._lingering.discard(leg)
        self._ended()


def _cut(leg: Leg) -> None:
    leg.transport.abortConnection()


class Refusing:
    """
    Refuses the clients of a rendezvous.

    :param closing_legs: owns the refused legs.
    """

    def __init__(self, statistics: Statistics, closing_legs: ClosingLegs) -> None:
        self._statistics = statistics
        self._closing_legs = closing_legs

    def refuse(self, leg: Leg, status: int, reason: str, later: int = RETRY_AFTER) -> None:
        """Refuse one client; see :meth:`ClosingLegs.refuse`."""
        note_client("refused", leg, status=status, reason=reason)
        self._statistics.refused(status, reason)
        self._closing_legs.refuse(leg, status, reason, later)

    def refuse_both(self, pair: Pair, status: int, reason: str) -> None:
        """Refuse both clients of a pair, which is over."""
        self.refuse(pair.dialer, status, reason)
        self.refuse(pair.acceptor, status, reason)
        pair.conclude()

    def may(self, limit: Limit, leg: Leg) -> bool:
        """Whether a limit allows the client. If not, the client is refused."""
        if leg.lease.may(limit):
            return True
        if limit is Limit.WAITING:
            leg.lease.misses(leg.token)
        self.refuse(leg, *refusal_of(limit))
        return False
