"""
A channel of ``twisted.web`` whose connection and requests are counted by address.
"""

from __future__ import annotations

from abc import abstractmethod

from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from rdv._transport.handover import came_by_proxy
from rdv._transport.interfaces import StreamTransport
from rdv.server.limits.admission import Admission, TooMany
from rdv.server.limits.lease import NOBODY, Lease

__all__ = ["WideChannel"]


class WideChannel(HTTPChannel):
    """
    Its first request is admitted with the connection, and those behind it are each asked about.
    What is a proxy's is not counted here: where its clients come from is known with each request.

    :ivar lease: by which the connection is counted.
    :ivar admitted: whether it is, or need not be.
    :ivar admission: what admits it; None when it is a proxy's.
    """

    transport: StreamTransport  # type: ignore[assignment]
    lease: Lease = NOBODY
    admitted: bool = False
    admission: Admission | None = None
    _is_first = True

    @abstractmethod
    def turn_away(self, error: TooMany) -> None:
        """There are too many from there."""

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]
        if self.admission is None or came_by_proxy(self.transport):
            self.admission = None
        elif not self.admitted:
            try:
                self.lease = self.admission.admit(self._host)
            except TooMany as error:
                self.turn_away(error)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.lease.end()

    def may_ask(self) -> bool:
        """Whether there may be the request that has come; if not, it is turned away."""
        is_first, self._is_first = self._is_first, False
        if is_first or self.admission is None:
            return True
        try:
            self.admission.ask(self._host)
        except TooMany as error:
            self.turn_away(error)
            return False
        return True

    @property
    def _host(self) -> str:
        return getattr(self.transport.getPeer(), "host", "")
