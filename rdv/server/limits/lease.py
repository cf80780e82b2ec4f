"""
What one connection counts as, as long as it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdv.server.limits.numbers import Limit
from rdv.server.limits.sketch import FIELD

if TYPE_CHECKING:
    from rdv.server.limits.admission import Admission

__all__ = ["NOBODY", "Lease"]

_CONNECTION, _WAITING = 1 << FIELD * Limit.CONNECTIONS, 1 << FIELD * Limit.WAITING
_PAIR = 1 << FIELD * Limit.PAIRS


class Lease:
    """
    A connection counts as one of its address, and as one who waits or is in a pair as well.

    :param key: by which its address is known; 0 when that is unknown, and nothing is counted.
    :param counted: whether the connection itself is counted.
    """

    __slots__ = ("_admission", "_holds", "_token", "key")

    def __init__(self, admission: Admission | None, key: int, *, counted: bool) -> None:
        self._admission = admission
        self.key = key
        self._holds = 0  # as it is added to the counts
        self._token = b""  # with which it waits
        if counted and admission is not None:
            self._holds = _CONNECTION
            admission.counts.add(key, _CONNECTION)

    def may(self, phase: Limit, observed: str) -> bool:
        """
        Whether its address has not too many yet that wait, or are in pairs.

        :param observed: that address as text.
        """
        admission = self._admission
        if admission is None or not admission.has(phase, self.key):
            return True
        return not admission.applies(phase, self.key, observed)

    @property
    def is_hidden(self) -> bool:
        """Whether its address is a proxy's, which others have as well."""
        return self._admission is not None and self._admission.hiding.hides(self.key)

    def waits(self, token: bytes) -> None:
        """It waits from now on, with that token."""
        self._token = token
        self._become(_WAITING)

    def misses(self, token: bytes) -> None:
        """It has asked for somebody who is not there, and may not wait."""
        if self._admission is not None:
            self._admission.failed(self.key, token)

    def meets(self, other: Lease, token: bytes) -> None:
        """
        The two are a pair from now on. If both have one address it counts as a failure: whoever
        guesses could be both peers, to end his mistakes.
        """
        if self.key == other.key:
            self.misses(token)
        self._become(_PAIR)
        other._become(_PAIR)

    def leaves(self) -> None:
        """It does neither any longer. If it has waited, it was in vain."""
        if self._holds > _CONNECTION:
            self._has_waited()
            self._become(0)

    def _has_waited(self) -> None:
        if self._holds & _WAITING and self._admission is not None:
            self._admission.failed(self.key, self._token)

    def _become(self, phase: int) -> None:
        admission = self._admission
        if admission is not None:
            change = (self._holds & _CONNECTION) + phase - self._holds
            self._holds += change
            admission.counts.add(self.key, change)

    def end(self) -> None:
        """The connection is gone, or somebody else counts it."""
        admission = self._admission
        if admission is not None:
            self._has_waited()
            admission.counts.add(self.key, -self._holds)
            self._admission, self._holds = None, 0


#: For whoever is not counted.
NOBODY = Lease(None, 0, counted=False)
