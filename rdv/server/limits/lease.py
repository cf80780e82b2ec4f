"""
What one connection counts as, as long as it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdv.server.limits.numbers import Limit

if TYPE_CHECKING:
    from rdv.server.limits.admission import Admission

__all__ = ["NOBODY", "Lease"]


class Lease:
    """
    A connection counts as one of its address, and as one who waits or is in a pair as well.

    :param key: by which its address is known; 0 when that is unknown, and nothing is counted.
    :param counted: whether the connection itself is counted.
    """

    __slots__ = ("_admission", "_counted", "_phase", "key")

    def __init__(self, admission: Admission | None, key: int, *, counted: bool) -> None:
        self._admission = admission
        self.key = key
        self._counted = counted
        self._phase: Limit | None = None
        if counted and admission is not None:
            admission.counts[Limit.CONNECTIONS].add(key)

    def may(self, phase: Limit, observed: str) -> bool:
        """
        Whether its address has not too many yet that wait, or are in pairs.

        :param observed: that address as text.
        """
        admission = self._admission
        return admission is None or not admission.is_reached(phase, self.key, observed)

    def become(self, phase: Limit | None) -> None:
        """
        It waits from now on, is in a pair, or neither. Who waits no more and has met nobody has
        come in vain.
        """
        admission, before = self._admission, self._phase
        if admission is None or phase is before:
            return
        self._phase = phase
        if before is not None:
            admission.counts[before].remove(self.key)
        if phase is not None:
            admission.counts[phase].add(self.key)
        elif before is Limit.WAITING:
            admission.failed(self.key)

    def end(self) -> None:
        """The connection is gone, or somebody else counts it."""
        admission = self._admission
        if admission is not None:
            self.become(None)
            if self._counted:
                admission.counts[Limit.CONNECTIONS].remove(self.key)
            self._admission = None


#: For whoever is not counted.
NOBODY = Lease(None, 0, counted=False)
