"""
What one connection adds to the counts while it exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdv.server.limits.numbers import Limit
from rdv.server.limits.sketch import FIELD, Place

if TYPE_CHECKING:
    from rdv.server.limits.admission import Admission

__all__ = ["NOBODY", "Lease"]

_CONNECTION, _WAITING = 1 << FIELD * Limit.CONNECTIONS, 1 << FIELD * Limit.WAITING
_PAIR = 1 << FIELD * Limit.PAIRS


class Lease:
    """
    Counts a connection for its address, and also while it waits or is in a pair.

    The counts are changed here, without a call, because every client does this several times.

    :param place: of its address. If that is unknown, any place will do, and nothing is counted.
    :param counted: whether the connection itself is counted.
    """

    __slots__ = ("_admission", "_holds", "_token", "place")

    def __init__(self, admission: Admission | None, place: Place, counted: bool = False) -> None:
        self._admission = admission
        self.place = place
        self._holds = 0  # as it was added to the counts
        self._token = b""  # the token with which it waits
        if counted and admission is not None:
            self._holds = _CONNECTION
            own = admission.counts.own
            own[place.one] += _CONNECTION
            own[place.other] += _CONNECTION

    @property
    def is_known(self) -> bool:
        """Whether anything is counted."""
        return self._admission is not None

    def may(self, phase: Limit) -> bool:
        """Whether its address has room for one more that waits, or is in a pair."""
        admission = self._admission
        if admission is None:
            return True
        most = admission.most[phase]
        if not most or not admission.counts.has(self.place, phase, most):
            return True
        return not admission.applies(phase, self.place)

    @property
    def is_hidden(self) -> bool:
        """Whether its address is a proxy, shared with other clients."""
        return self._admission is not None and self._admission.hiding.hides(self.place.key)

    def waits(self, token: bytes) -> None:
        """It waits from now on, with this token."""
        self._token = token
        self._become(_WAITING)

    def misses(self, token: bytes) -> None:
        """It has asked for a peer that is not there, and may not wait."""
        if self._admission is not None:
            self._admission.failed(self.place, token)

    def meets(self, other: Lease, token: bytes) -> None:
        """
        The two are a pair from now on. If both have the same address, it counts as a failure: an
        attacker who guesses tokens could play both peers to avoid failures.
        """
        if self.place.key == other.place.key:
            self.misses(token)
        for lease in (self, other):
            lease._become(_PAIR)

    def leaves(self) -> None:
        """It no longer waits or is in a pair. If it has waited, it has failed."""
        if self._holds > _CONNECTION:
            self._has_waited()
            self._become(0)

    def _has_waited(self) -> None:
        if self._holds & _WAITING:
            self.misses(self._token)

    def _become(self, phase: int) -> None:
        admission = self._admission
        if admission is not None:
            holds = (self._holds & _CONNECTION) + phase
            change = holds - self._holds
            self._holds = holds
            place, own = self.place, admission.counts.own
            own[place.one] += change
            own[place.other] += change

    def end(self) -> None:
        """The connection is gone, or is counted elsewhere from now on."""
        admission = self._admission
        if admission is not None:
            holds = self._holds
            if holds & _WAITING:
                self.misses(self._token)
            place, own = self.place, admission.counts.own
            own[place.one] -= holds
            own[place.other] -= holds
            self._admission, self._holds = None, 0


#: For connections that are not counted.
NOBODY = Lease(None, Place(0))
